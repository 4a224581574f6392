"""Running exports of MXNet in another Python: what can be checked without MXNet."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, UsageError
from plainbert.export import bundle
from plainbert.export.mxnet import format, heads, interpreter
from plainbert.export.mxnet.format import MXNetFormat, MXNetRunner
from plainbert.export.names import TASKS
from plainbert.runtimes.programs import Remote
from plainbert.runtimes.runtime import MXNET
from tests.helpers import mxnet_sources as sources
from tests.helpers import summing_program


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return summing_program.write(tmp_path)


def test_a_python_without_mxnet(tmp_path: Path) -> None:
    folder = sources.export(sources.tiny("ner"), tmp_path)
    with pytest.raises(UsageError, match="lacks what mxnet needs(.|\\n)*mxnet==1.9.1"):
        MXNetFormat(python=sys.executable).open_runner(folder)
    with pytest.raises(UsageError, match="there is no nowhere(.|\n)*PLAINBERT_MXNET=PATH"):
        MXNetFormat(python="nowhere").open_runner(folder)


@pytest.fixture
def no_mxnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where nobody made a Python with MXNet."""
    monkeypatch.delenv(MXNET.variable, raising=False)
    monkeypatch.setattr(format, "MXNET", dataclasses.replace(MXNET, folder="nowhere"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.usefixtures("no_mxnet")
def test_without_mxnet_the_graph_is_checked_all_the_same(
    task: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = sources.tiny(task)
    written = bundle.export(source, tmp_path / "out", MXNetFormat())

    assert written.check["difference"] < 1e-5
    assert (tmp_path / "out" / f"{source.task}-symbol.json").is_file()
    assert "checking it with plainbert's own reading of its operators" in caplog.text
    assert "MXNet itself has not run it" in caplog.text


@pytest.mark.usefixtures("no_mxnet")
def test_that_check_finds_a_wrong_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: object, **options: object) -> tuple[str, dict[str, object]]:
        text, arrays = heads.build(*args, **options)  # type: ignore[arg-type]
        return text.replace('"gelu"', '"relu"').replace('"tanh"', '"relu"'), arrays

    monkeypatch.setattr(format, "build", wrong)
    with pytest.raises(CheckpointError, match="differ"):
        bundle.export(sources.tiny("classification"), tmp_path / "out", MXNetFormat())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_mxnet")
def test_operators_that_are_not_read(tmp_path: Path) -> None:
    graph = {"nodes": [{"op": "null", "name": "x"}, {"op": "Foo", "name": "y", "inputs": []}],
             "heads": [[1, 0, 0]]}  # fmt: skip
    with pytest.raises(CheckpointError, match="operator Foo of MXNet is not read"):
        interpreter.run(graph, {"x": np.zeros(2)})
    with pytest.raises(CheckpointError, match="needs 'x'"):
        interpreter.run(graph, {})


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"one \*-symbol.json is expected, there are 0"):
        MXNetFormat().open_runner(tmp_path)
    (tmp_path / "net-symbol.json").write_text('{"nodes": [{"op": "null", "name": "data"}]}')
    with pytest.raises(CheckpointError, match="net-0000.params does not exist"):
        MXNetFormat().open_runner(tmp_path)
    (tmp_path / "net-0000.params").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is no graph of BERT"):
        MXNetFormat().open_runner(tmp_path)


def test_inputs_that_mxnet_would_mistake(program: Path) -> None:
    with MXNetRunner(Remote(MXNET, Path(sys.executable), program), 4) as runner:
        ids = np.ones((2, 5), np.int64)
        with pytest.raises(UsageError, match="inputs of 5 tokens: the model has 4 positions"):
            runner.run(ids, ids, ids)
        short = ids[:, :3]
        with pytest.raises(UsageError, match="padding comes last"):
            runner.run(short, short, np.array([[1, 1, 0], [0, 1, 1]]))


def test_the_program_imports_nothing_of_ours() -> None:
    assert "plainbert" not in format.PROGRAM.read_text("utf-8").split('"""', 2)[2]
