"""The one program behind all commands, and how messages name them."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from plainbert import __main__ as program
from plainbert import __version__, errors
from plainbert.cli.program import as_started, command
from plainbert.errors import MissingDependencyError
from plainbert.recipes.commands import SUMMARIES

ROOT = Path(__file__).resolve().parent.parent


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_alone_it_lists_every_command(tmp_path: Path) -> None:
    for words in ([], ["--help"]):
        listed = run("-m", "plainbert", *words, folder=tmp_path)
        assert listed.returncode == 0
        names = [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")]
        assert names == list(SUMMARIES)
        assert max(map(len, listed.stdout.splitlines())) <= 90
    assert run("-m", "plainbert", "--version").stdout == f"plainbert {__version__}\n"


def test_a_mistyped_command_names_the_nearest(tmp_path: Path) -> None:
    refused = run("-m", "plainbert", "embeding", folder=tmp_path)
    assert refused.returncode == 2
    assert "Did you mean 'embedding'?" in refused.stderr


@pytest.mark.parametrize("name", ["finetune_squad", "finetune-squad", "finetune_squad.py"])
def test_help_names_what_the_user_has(tmp_path: Path, name: str) -> None:
    shown = run("-m", "plainbert", name, "--help", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "usage: python -m plainbert finetune_squad [flags]" in shown.stdout
    assert "scripts/" not in shown.stdout.split("\n\n")[1]
    script = run(str(ROOT / "scripts/bert/finetune_squad.py"), "--help", folder=tmp_path)
    assert "python scripts/bert/finetune_squad.py" in script.stdout


@pytest.mark.parametrize(
    ("folder", "script", "name", "typed"),
    [
        ("", "scripts/bert/embedding.py", "predict_ner", "scripts/bert/predict_ner.py"),
        ("", "scripts/bert/embedding.py", "export", "scripts/export/export.py"),
        ("", "scripts/export/export.py", "embedding", "scripts/bert/embedding.py"),
        ("", "scripts/launch.py", "embedding", "scripts/bert/embedding.py"),
        ("scripts", "bert/embedding.py", "launch", "launch.py"),
        ("scripts/bert", "embedding.py", "predict_ner", "predict_ner.py"),
        ("scripts/bert", "embedding.py", "export", "../export/export.py"),
    ],
)
def test_a_script_names_other_scripts(
    monkeypatch: pytest.MonkeyPatch, folder: str, script: str, name: str, typed: str
) -> None:
    monkeypatch.chdir(ROOT / folder)
    monkeypatch.setattr(sys, "argv", [script])
    start, path = command(name).split()
    assert start == "python"
    assert Path(path).resolve() == Path(typed).resolve()


def test_installed_it_names_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "bert").mkdir(parents=True)  # somebody else's
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    for argv0 in ("/usr/bin/plainbert", "scripts/bert/own.py", "own.py"):
        monkeypatch.setattr(sys, "argv", [argv0])
        assert command("predict_ner") == "plainbert predict_ner"
    example = "python scripts/launch.py --ranks 2 scripts/bert/run_pretraining_hvd.py --data a"
    assert as_started(example) == "plainbert launch --ranks 2 run_pretraining --data a"


def test_launch_starts_a_command_by_name(tmp_path: Path) -> None:
    words = ["launch", "--ranks", "2", "--dry_run", "embedding", "--sentences", "a"]
    shown = run("-m", "plainbert", *words, folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.rstrip().endswith("-m plainbert embedding --sentences a")


def test_a_status_passes_through(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = tmp_path / "failing.py"
    failing.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(sys, "argv", ["plainbert", "launch", "--ranks", "1", str(failing)])
    with pytest.raises(SystemExit) as ended:
        program.console()
    assert ended.value.code not in (0, None)


def test_a_missing_package_is_asked_for_as_the_user_has_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def message(extra: str = "export") -> str:
        return str(MissingDependencyError("onnx", extra, "export to ONNX"))

    assert message().endswith(f"pip install -c {ROOT}/constraints.txt -e '{ROOT}[export]'")
    monkeypatch.chdir(ROOT)
    assert message().endswith("pip install -c constraints.txt -e '.[export]'")
    assert message("").endswith("pip install onnx")
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages/plainbert/errors.py"))
    assert message().endswith('pip install "plainbert[export]"')


def test_every_extra_that_errors_name_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set()
    for path in (ROOT / "plainbert").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if path.name == "packages.py" or not isinstance(node, ast.Call):
                continue
            if ast.unparse(node.func) in ("MissingDependencyError", "packages.require"):
                assert isinstance(node.args[1], ast.Constant), path
                named.add(node.args[1].value)
    assert named - {""} <= extras["optional-dependencies"].keys()
    assert len(named) > 4


def test_a_shell_completes_commands_and_flags(tmp_path: Path) -> None:
    script = run("-m", "plainbert", "--completion", "bash")
    assert script.returncode == 0, script.stderr
    (tmp_path / "plainbert.sh").write_text(script.stdout)

    def completed(*words: str) -> list[str]:
        line = " ".join(map(shlex.quote, words))
        code = (
            f"source plainbert.sh; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            f"_shtab_plainbert plainbert {shlex.quote(words[-1])}; printf '%s\\n' ${{COMPREPLY[@]}}"
        )
        done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout.split()

    assert completed("plainbert", "fine") == [
        "finetune_classifier", "finetune_squad", "finetune_ner",
    ]  # fmt: skip
    assert "--train-path" in completed("plainbert", "finetune_ner", "--train")
    refused = run("-m", "plainbert", "--completion", "cmd.exe")
    assert refused.returncode == 2
    assert "no shell is named 'cmd.exe'" in refused.stderr


def test_no_message_names_a_script_by_its_path() -> None:
    """The user of a wheel has no scripts/: messages ask :func:`command` what to name."""
    places = []
    for path in sorted((ROOT / "plainbert").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        places += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"scripts/(bert|export|launch)", node.value)
            and node not in texts
        ]
    # older_systems: its table goes through as_started as a whole.
    own = ("cli/program.py", "shared/older_systems.py")
    assert [place for place in places if not place.split(":")[0].endswith(own)] == []
