"""Other runtimes in a Python of their own: finding it, and what is said when they fail."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from plainbert.errors import CheckpointError, UsageError
from plainbert.runtimes import find
from plainbert.runtimes.find import execute, find_python


def test_which_python_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = dataclasses.replace(find.MXNET, folder=".nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(runtime.variable, raising=False)
    message = r"no .nowhere/bin/python. Make it with\n  python(.|\n)*: PLAINBERT_MXNET=PATH"
    with pytest.raises(UsageError, match=message):
        find_python(runtime)

    for name in (".nowhere/bin/python", "variable", "flag"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_python(runtime) == tmp_path / ".nowhere" / "bin" / "python"
    monkeypatch.setenv(runtime.variable, "variable")
    assert find_python(runtime) == tmp_path / "variable"
    assert find_python(runtime, "flag") == tmp_path / "flag"
    with pytest.raises(UsageError, match="there is no absent"):
        find_python(runtime, "absent")


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("raise ValueError('seven weights are missing')", CheckpointError, "seven weights"),
        ("import nothing_of_this_name", UsageError, "lacks what mxnet needs.*nothing_of_this"),
        ("import sys; sys.exit(3)", CheckpointError, "ended with status 3 and said nothing"),
    ],
)
def test_a_program_that_fails(
    tmp_path: Path, code: str, error: type[Exception], words: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(code)
    with pytest.raises(error, match=words):
        execute(find.MXNET, Path(sys.executable), program, [])


def test_a_python_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be started: Permission denied"):
        execute(find.MXNET, tmp_path, tmp_path / "program.py", [])
