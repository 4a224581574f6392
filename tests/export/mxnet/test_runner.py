"""Running exports of MXNet in another Python: what can be checked without MXNet."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, UsageError
from plainbert.export.mxnet import format
from plainbert.export.mxnet.format import MXNetFormat, MXNetRunner
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
