"""int8 exports: what is quantised, how, and how far the outputs move."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir
import pytest
import torch
from numpy.typing import NDArray

from plainbert.batching.features import featurize
from plainbert.errors import UsageError
from plainbert.export.check import batches
from plainbert.export.onnx import graph as onnx_graph
from plainbert.export.onnx import int8 as onnx_int8
from plainbert.export.onnx import ranges as onnx_ranges
from plainbert.export.onnx.format import ONNXFormat
from plainbert.export.onnx.ranges import Range
from plainbert.export.source import Source
from plainbert.nn.pooling import Pooling
from tests.helpers import folders
from tests.helpers.onnx_sources import made

WORDS = folders.TOKENS[5:]
LAYERS = folders.CONFIG.num_hidden_layers


def texts(count: int = 60, seed: int = 3) -> tuple[tuple[str, ...], ...]:
    """Random texts of 1 to 13 words, and pairs of them."""
    random = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(random.choice(WORDS, random.integers(1, 14)))

    return tuple(tuple(text() for _ in range(1 + row % 2)) for row in range(count))


def with_outliers(source: Source, factor: float) -> None:
    """Make a few channels of the hidden states large, as they are in real models."""
    with torch.no_grad():
        for name, part in source.model.named_modules():
            if name.endswith("LayerNorm"):
                part.weight[3] *= factor  # type: ignore[operator, union-attr]
            if name.endswith("intermediate.dense"):
                part.bias[5] += factor  # type: ignore[operator, union-attr]


def error(source: Source, folder: Path, int8: bool = True) -> float:
    """Length of the differences relative to the outputs', on texts that were not calibrated on."""
    pairs = []
    with ONNXFormat(int8=int8).open_runner(folder, threads=1) as runner:
        for parts in batches(featurize(source.tokenizer, texts(40, seed=4), 32)):
            with torch.inference_mode():
                wanted = source.module()(*map(torch.from_numpy, parts)).numpy()
            found = runner.run(*parts)
            assert found.shape == wanted.shape
            real = parts[2] > 0 if wanted.ndim == 3 else slice(None)
            pairs.append((wanted[real], found[real]))
    one, two = (np.concatenate(each) for each in zip(*pairs, strict=True))
    return float(np.linalg.norm(one - two) / np.linalg.norm(one))


@pytest.mark.parametrize(
    ("task", "activation", "pooling"),
    [
        ("classification", "gelu", None),
        ("question_answering", "relu", None),
        ("ner", "gelu_new", None),
        ("embedding", "gelu", Pooling(normalize=True)),
        ("embedding", "relu", Pooling("none", layers=(-2,))),
    ],
)
def test_outputs_stay_close(
    tmp_path: Path, task: str, activation: str, pooling: Pooling | None
) -> None:
    source = made(task, activation, pooling)
    ONNXFormat(int8=True, calibration=texts()).write(source, tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.int8.onnx", "model.onnx"]

    assert error(source, tmp_path, int8=False) < 1e-5
    assert 1e-5 < error(source, tmp_path) < 0.05


def test_large_channels_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bringing channels together is for; one random model may be the exception."""
    errors = {0.0: 0.0, onnx_ranges.SHARE: 0.0}
    for _ in range(4):
        source = made("embedding", pooling=Pooling())
        with_outliers(source, 12)
        seen = onnx_ranges.observe(source.body, featurize(source.tokenizer, [*texts()], 32))
        model = onnx_graph.build(source)
        for share in errors:
            monkeypatch.setattr(onnx_ranges, "SHARE", share)
            quantized = onnx_ir.from_proto(onnx_ir.to_proto(model))
            onnx_int8.quantize(quantized, seen)
            onnx_ir.save(quantized, tmp_path / "model.int8.onnx")
            errors[share] += error(source, tmp_path)
    apart, together = errors.values()
    assert together < 0.9 * apart


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one in int8."""
    folder = tmp_path_factory.mktemp("classifier")
    ONNXFormat(int8=True, calibration=texts()).write(made("classification"), folder)
    return folder


def test_what_is_quantised(classifier: Path) -> None:
    graph = onnx_ir.load(classifier / "model.int8.onnx").graph
    count = Counter(node.op_type for node in graph)
    stored = [value.const_value for value in graph.initializers.values()]
    types = Counter(str(each.dtype) for each in stored if each is not None and len(each.shape) == 2)

    assert count["QuantizeLinear"] == 4 * LAYERS  # one for queries, keys and values
    # Attention's output needs no multiplication: the values' weights take it.
    assert count["Mul"] == LAYERS + 3 * LAYERS + 1
    assert types["INT8"] == 6 * LAYERS + 1  # products and word vectors
    # Positions, segments, pooler, classifier, and the words' scales.
    assert types["FLOAT"] == 5


def test_relu_needs_no_multiplication_before_the_last_product(tmp_path: Path) -> None:
    source = made("ner", "relu")
    ONNXFormat(int8=True, calibration=texts()).write(source, tmp_path)
    graph = onnx_ir.load(tmp_path / "model.int8.onnx").graph

    assert Counter(node.op_type for node in graph)["Mul"] == LAYERS + 2 * LAYERS + 1
    assert error(source, tmp_path) < 0.05


def test_onnxruntime_multiplies_integers(classifier: Path, tmp_path: Path) -> None:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    settings.log_severity_level = 3
    onnxruntime.InferenceSession(str(classifier / "model.int8.onnx"), settings)
    count = Counter(node.op_type for node in onnx_ir.load(tmp_path / "optimized.onnx").graph)

    assert count["QGemm"] == 6 * LAYERS
    assert count["Gemm"] + count["FusedGemm"] == 2  # head, and pooler with its tanh
    assert count["DequantizeLinear"] == 0


def test_the_numbers_by_the_formula() -> None:
    """One product, written slowly: what the stored numbers stand for."""
    source = made("embedding", pooling=Pooling())
    features = featurize(source.tokenizer, texts(), 32)
    ranges = onnx_ranges.observe(source.body, features)
    model = onnx_graph.build(source)
    onnx_int8.quantize(model, ranges)
    stored = {name: value.const_value for name, value in model.graph.initializers.items()}

    def array(name: str) -> NDArray[np.float64]:
        tensor = stored[name]
        assert tensor is not None
        return tensor.numpy().astype(np.float64)

    layer = source.body.encoder.layer[1]
    weight = layer.output.dense.weight.detach().double().numpy()
    bias = layer.output.dense.bias.detach().double().numpy()
    seen = ranges["layer.1.output.dense"]
    size = np.maximum(np.abs(seen.low), np.abs(seen.high)).astype(np.float64)
    factors = (size / np.exp(np.log(size).mean())) ** 0.4
    step = array("layer.1.output.dense.scale")
    zero = array("layer.1.output.dense.zero")
    np.testing.assert_allclose(array("layer.1.output.dense.inverse"), 1 / factors, rtol=1e-5)
    low, high = (seen.low / factors).min(), (seen.high / factors).max()
    np.testing.assert_allclose((-zero * step, (255 - zero) * step), (low, high), atol=float(step))

    name = "model.bert.encoder.layer.1.output.dense"
    steps = array(f"{name}.weight.scale")
    wanted = weight * factors
    np.testing.assert_allclose(steps, np.abs(wanted).max(1) / 127, rtol=1e-5)
    apart = np.abs(array(f"{name}.weight.int") * steps[:, None] - wanted)
    assert (apart <= steps[:, None] * 0.5001).all()
    np.testing.assert_allclose(array(f"{name}.bias.scale"), steps * step, rtol=1e-6)
    np.testing.assert_allclose(
        array(f"{name}.bias.int") * steps * step, bias, atol=float((steps * step).max())
    )


def test_ranges_are_those_of_tokens_alone() -> None:
    source = made("ner")
    rows = texts(7)
    features = featurize(source.tokenizer, list(rows), 32)
    found = onnx_ranges.observe(source.body, features)
    assert len(found) == 4 * LAYERS

    inputs: list[torch.Tensor] = []
    part = source.body.encoder.layer[1].intermediate.dense
    handle = part.register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    with torch.inference_mode():
        for row in range(len(features)):  # one at a time: no padding
            source.body(
                torch.tensor([features.row(row)]),
                torch.tensor(
                    features.types[features.offsets[row] : features.offsets[row + 1]][None].astype(
                        int
                    )
                ),
            )
    handle.remove()
    every = torch.cat([each[0] for each in inputs])
    seen = found["layer.1.intermediate.dense"]
    np.testing.assert_allclose(seen.low, every.amin(0), atol=1e-5)
    np.testing.assert_allclose(seen.high, every.amax(0), atol=1e-5)


def test_channels_without_values() -> None:
    """Dead channels, and inputs that are 0 throughout."""
    none = np.zeros(4, np.float32)
    np.testing.assert_array_equal(Range(none, none).factors(), np.ones(4))
    factors = Range(none, np.array([0, 1, 1, 1], np.float32)).factors()
    assert np.isfinite(factors).all()
    assert factors[0] < factors[1]
    assert factors[0] > 0.005


def test_a_matrix_of_zeros(tmp_path: Path) -> None:
    source = made("classification")
    with torch.no_grad():
        dense = source.body.encoder.layer[0].output.dense
        dense.weight.zero_()
        source.body.encoder.layer[1].intermediate.dense.weight[4].zero_()
    ONNXFormat(int8=True, calibration=texts()).write(source, tmp_path)
    assert error(source, tmp_path) < 0.05


def test_int8_needs_texts() -> None:
    with pytest.raises(UsageError, match=r"give some with --file or --sentences, 100 or more"):
        ONNXFormat(int8=True).require()
