"""Finding the Python that has a runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from plainbert.errors import UsageError
from plainbert.runtimes import find
from plainbert.runtimes.find import find_python
from plainbert.runtimes.runtime import MXNET


def test_which_python_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = dataclasses.replace(MXNET, folder=".nowhere")
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


def test_a_folder_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plainbert" / "runtimes"
    monkeypatch.setattr(find, "__file__", str(package / "find.py"))
    monkeypatch.delenv(MXNET.variable, raising=False)
    python = tmp_path / ".mx" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find_python(MXNET) == python
