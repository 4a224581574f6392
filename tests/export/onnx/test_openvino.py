"""The same ONNX files in OpenVINO."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, FormatError, MissingDependencyError
from plainbert.export.onnx import openvino
from plainbert.export.onnx.format import ONNXFormat
from plainbert.nn.pooling import Pooling
from tests.helpers.onnx_sources import batch, cases, difference, made
from tests.helpers.rounding import rounding, terms_of


@pytest.mark.openvino
@pytest.mark.parametrize(("task", "activation", "pooling"), cases())
def test_same_outputs_at_any_shape(
    tmp_path: Path, task: str, activation: str, pooling: Pooling | None
) -> None:
    source = made(task, activation, pooling)
    ONNXFormat().write(source, tmp_path)

    with openvino.open_runner(tmp_path, threads=1) as runner:
        assert difference(source, runner) < rounding(terms_of(source.config))


@pytest.mark.openvino
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_int8_as_in_onnxruntime(tmp_path: Path, activation: str) -> None:
    source = made("ner", activation)
    words = source.tokenizer.vocab.tokens[5:]
    texts = tuple((" ".join(np.random.default_rng(row).choice(words, 12)),) for row in range(40))
    ONNXFormat(int8=True, calibration=texts).write(source, tmp_path)
    ids, types, mask = (each.numpy() for each in batch(4, 9))

    with (
        ONNXFormat(int8=True).open_runner(tmp_path, 1) as one,
        openvino.open_runner(tmp_path, 1, int8=True) as two,
    ):
        wanted, found = one.run(ids, types, mask)[mask > 0], two.run(ids, types, mask)[mask > 0]
    # Sums are rounded in another order, so that some inputs get the neighbour of their 8 bits.
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)


@pytest.mark.openvino
def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(FormatError, match=r"OpenVINO cannot open .*model\.onnx"):
        openvino.open_runner(tmp_path)


def test_without_openvino_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(CheckpointError, match=r"holds no model\.onnx"):
        openvino.open_runner(tmp_path)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(MissingDependencyError, match=r"'openvino'.*\[openvino\]"):
        openvino.open_runner(tmp_path)
