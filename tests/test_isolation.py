"""No test sees or touches what a user has: files in the clone, home, caches, variables."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plainbert.distributed.world import World
from tests.helpers.isolation import CHECKOUT, FOREIGN, PYTHONS, isolate, project_files
from tests.test_readme import README, SCRIPTS, commands

# Variables that describe the machine, not what its user keeps there.
MACHINE = {"CUDA_VISIBLE_DEVICES", "CXX", "GLOO_SOCKET_IFNAME", "OMP_NUM_THREADS", *PYTHONS}
# Set for programs that are started, whatever they were before.
SET = {"TF_CPP_MIN_LOG_LEVEL"}
# What plainbert and its peers leave in a folder.
OUTPUTS = (
    "args.json", "config.json", "manifest.json", "log.txt", "vocab.txt", "model.safetensors",
    "train.tsv", "dev.tsv", "test.tsv", "train-v1.1.json", "part-000.npz", "best/config.json",
    "last/config.json", "bin/python",
)  # fmt: skip


def test_what_this_test_sees() -> None:
    assert [*Path.cwd().iterdir()] == []
    assert not Path.cwd().is_relative_to(CHECKOUT)
    assert Path.home().name.startswith("plainbert-home-")
    assert [name for name in os.environ if name.startswith(FOREIGN)] == []


def variables(path: Path) -> Iterator[str]:
    """Environment variables that a module reads; the expression where that is no constant."""
    tree = ast.parse(path.read_text("utf-8"))
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=place, slice=name):
                pass
            case ast.Call(func=ast.Attribute(value=place, attr="get"), args=[name, *_]):
                pass
            case ast.Compare(left=name, comparators=[place]):
                pass
            case _:
                continue
        if ast.unparse(place) == "os.environ":
            text = ast.unparse(name)
            yield name.value if isinstance(name, ast.Constant) else constants.get(text, text)


def test_every_variable_that_the_code_reads_is_known() -> None:
    files = [*(CHECKOUT / "plainbert").rglob("*.py"), *(CHECKOUT / "scripts").rglob("*.py")]
    read = {name for path in files for name in variables(path)}
    assert {"GLUE_DIR", "SQUAD_DIR", "MXNET_HOME", "HF_ENDPOINT"} <= read
    # Those of a runtime are PYTHONS; the agent fills in variables that are not set.
    read -= MACHINE | SET | {"runtime.variable", "name"}
    assert {name for name in read if not name.startswith(FOREIGN)} == set()


@pytest.mark.parametrize(
    "launcher",
    [
        {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "h", "MASTER_PORT": "1"},
        {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "PMIX_NAMESPACE": "x"},
        {"PMI_SIZE": "2", "PMI_RANK": "1", "MPI_LOCALRANKID": "1"},
        {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"},
    ],
    ids=lambda launcher: next(iter(launcher)),
)
def test_tests_under_a_launcher(launcher: dict[str, str], tmp_path: Path) -> None:
    environ = {**launcher, "PATH": "/bin", "PLAINBERT_MXNET": ".mx/bin/python"}
    isolate(environ, tmp_path)
    assert World.current(environ).launcher == "single"
    assert environ == {
        "PATH": "/bin",
        "PLAINBERT_MXNET": str(Path(".mx/bin/python").absolute()),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(CHECKOUT),
    }


def test_no_program_is_started_in_the_checkout() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{keyword.value.lineno}"
        for path in sorted((CHECKOUT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "cwd"
        and re.search(r"\b(HERE|ROOT|CHECKOUT|__file__)\b", ast.unparse(keyword.value))
        and "git" not in ast.unparse(node)
    ]
    assert found == []


def leave_outputs(checkout: Path) -> int:
    """Make what the commands of README and docstrings name and a clone lacks; how much that was."""
    docs = [ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" for path in SCRIPTS]
    words = {word for text in [README, *docs] for line in commands(text) for word in line[1:]}
    words |= {"squad", "glue_data", "output_dir", ".mx", ".tf", ".mxnet/models"}
    made = 0
    for word in sorted(words):
        if not re.fullmatch(r"[\w.][\w./-]*", word) or (checkout / word).exists():
            continue  # a flag, a sentence, a pattern; or part of the clone
        is_file = bool(Path(word).suffix) and not word.startswith(".")
        for path in [word] if is_file else [f"{word}/{name}" for name in OUTPUTS]:
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout / path).touch()
        made += 1
    return made


def test_commands_are_understood_where_they_were_followed_before(tmp_path: Path) -> None:
    """The tests of README and docstrings in a clone that holds all that their commands write."""
    checkout = tmp_path / "clone"
    for path in project_files():
        if path.suffix in (".py", ".rst", ".toml") or path.is_relative_to(CHECKOUT / "data"):
            copy = checkout / path.relative_to(CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    assert leave_outputs(checkout) > 30
    before = sorted(checkout.rglob("*"))

    places = {name: str(checkout) for name in ("HOME", "GLUE_DIR", "SQUAD_DIR", "MXNET_HOME")}
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider",
         "tests/test_readme.py", "-k", "command"],
        cwd=checkout, env={**os.environ, **places, "PYTHONPATH": str(checkout)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert sorted(checkout.rglob("*")) == before
