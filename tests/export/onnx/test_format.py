"""ONNX exports in ONNX Runtime: what they compute, for which shapes, and what is in the file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
import torch

from plainbert.config import ACTIVATIONS
from plainbert.errors import CheckpointError, FormatError, MissingDependencyError
from plainbert.export.example import copy_program
from plainbert.export.names import TASKS
from plainbert.export.onnx import format as exporter
from plainbert.export.onnx import graph
from plainbert.export.onnx.format import ONNXFormat
from plainbert.export.source import Source
from plainbert.nn.pooling import Pooling
from tests.helpers import folders
from tests.helpers.onnx_sources import HERE, cases, difference, layers_for, made
from tests.helpers.rounding import rounding, terms_of

CALIBRATION = (("the cat a",), ("b c", "a b the"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path]:
    """A classifier and its folder, in float32 and int8."""
    torch.manual_seed(1)
    source, folder = made("classification"), tmp_path_factory.mktemp("exported")
    before = {name: each.clone() for name, each in source.model.state_dict().items()}
    kinds = [type(each) for each in source.model.modules()]
    ONNXFormat(int8=True, calibration=CALIBRATION).write(source, folder)

    after = source.model.state_dict()  # nothing happens to the source
    assert list(after) == list(before)
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert [type(each) for each in source.model.modules()] == kinds
    assert not any(each._forward_pre_hooks for each in source.model.modules())
    return source, folder


@pytest.mark.parametrize(("task", "activation", "pooling"), cases())
def test_same_outputs_at_any_shape(
    tmp_path: Path, task: str, activation: str, pooling: Pooling | None
) -> None:
    source = made(task, activation, pooling, num_hidden_layers=layers_for(activation, pooling))
    ONNXFormat().write(source, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]

    with ONNXFormat().open_runner(tmp_path, threads=1) as runner:
        assert difference(source, runner) < rounding(terms_of(source.config))


@pytest.mark.parametrize(
    ("whole", "int8", "entry"), [(True, True, False), (False, True, True), (False, False, False)]
)
def test_int8_is_as_fast_as_the_processor_allows(
    exported: tuple[Source, Path],
    monkeypatch: pytest.MonkeyPatch,
    whole: bool,
    int8: bool,
    entry: bool,
) -> None:
    """The entry against overflow takes all the speed: it is for processors that need it."""
    import onnxruntime

    opened: list[Any] = []
    session = onnxruntime.InferenceSession

    def seen(path: str, settings: object, **more: object) -> object:
        opened.append(settings)
        return session(path, settings, **more)

    monkeypatch.setattr(exporter, "adds_small_products", lambda: whole)
    monkeypatch.setattr(onnxruntime, "InferenceSession", seen)
    ONNXFormat(int8=int8).open_runner(exported[1], threads=1)
    (settings,) = opened
    try:
        set_to = settings.get_session_config_entry("session.x64quantprecision")
    except RuntimeError:  # it has none
        set_to = "0"
    assert (set_to == "1") is entry


def test_cases_cover_what_there_is() -> None:
    found = [each.values for each in cases()]
    assert {task for task, _, _ in found} == set(TASKS)
    assert {name for _, name, _ in found} == set(ACTIVATIONS)
    kinds = {each.kind for _, _, each in found if isinstance(each, Pooling)}
    assert kinds == {"mean", "max", "mean_max", "first", "last", "pooled", "none"}


def test_a_real_size(tmp_path: Path) -> None:
    """More layers, heads and tokens than the tiny models have."""
    source = made(
        "ner",
        num_hidden_layers=3,
        hidden_size=96,
        num_attention_heads=6,
        intermediate_size=200,
        max_position_embeddings=512,
        vocab_size=5000,
        initializer_range=0.05,
    )
    ONNXFormat().write(source, tmp_path)

    with ONNXFormat().open_runner(tmp_path, threads=1) as runner:
        assert difference(source, runner, shapes=[(2, 512), (1, 2), (3, 17)]) < 1e-5


def test_padding_changes_nothing(exported: tuple[Source, Path]) -> None:
    ids, types, mask = (each.numpy() for each in folders.batch())

    with ONNXFormat().open_runner(exported[1], threads=1) as runner:
        whole = runner.run(ids, types, mask)
        atol = rounding(terms_of(exported[0].config), whole)
        other = runner.run(np.where(mask > 0, ids, 7), np.where(mask > 0, types, 1), mask)
        for row, length in enumerate(mask.sum(1)):
            alone = (each[row : row + 1, :length] for each in (ids, types, mask))
            np.testing.assert_allclose(runner.run(*alone)[0], whole[row], rtol=0, atol=atol)
    np.testing.assert_array_equal(whole, other)  # a padded key weighs exactly 0


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
def test_the_file(exported: tuple[Source, Path], name: str) -> None:
    model = onnx.load(exported[1] / name)
    onnx.checker.check_model(model, full_check=True)

    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
    shapes = {
        each.name: [part.dim_param or part.dim_value for part in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    }
    names = ("input_ids", "token_type_ids", "attention_mask")
    assert shapes == {**dict.fromkeys(names, ["batch", "tokens"]), "logits": ["batch", 3]}
    types = [each.type.tensor_type.elem_type for each in model.graph.input]
    assert types == [onnx.TensorProto.INT64] * 3
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    content = (exported[1] / name).read_bytes()
    assert str(HERE).encode() not in content  # nor any other place of this machine
    assert b".py" not in content


def test_the_graph_is_one_that_runtimes_fuse(exported: tuple[Source, Path]) -> None:
    model = onnx_ir.load(exported[1] / "model.onnx")
    count = Counter(node.op_type for node in model.graph)

    layers = folders.CONFIG.num_hidden_layers
    assert count["Gemm"] == 6 * layers + 2  # pooler and classifier
    assert count["MatMul"] == 2 * layers
    assert count["Softmax"] == count["Gelu"] == layers
    assert count["LayerNormalization"] == 2 * layers + 1
    assert count["Where"] == 1  # the mask is the same for all layers
    assert not count.keys() & {"IsNaN", "Split", "Slice", "Erf"}
    sums = [node for node in model.graph if node.op_type == "LayerNormalization"]
    assert all(len(node.inputs[0].shape or ()) == 2 for node in sums)
    own = {f"model.{name}" for name in exported[0].model.state_dict()}
    assert own <= set(model.graph.initializers)  # weights are named as in the model


def test_onnxruntime_leaves_the_norms(exported: tuple[Source, Path], tmp_path: Path) -> None:
    """Its SkipLayerNormalization takes several times as long as what it would replace."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    settings.log_severity_level = 3
    onnxruntime.InferenceSession(str(exported[1] / "model.onnx"), settings)
    count = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)

    assert count["FusedMatMul"] == folders.CONFIG.num_hidden_layers  # transposed keys, scale
    assert count["SkipLayerNormalization"] == 0


def test_large_weights_lie_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "LIMIT", 1000)
    source = made("embedding", pooling=Pooling())
    ONNXFormat(int8=True, calibration=CALIBRATION).write(source, tmp_path)
    names = {each.name for each in tmp_path.iterdir()}

    assert {"model.onnx", "model.onnx.data", "model.int8.onnx"} <= names
    with ONNXFormat().open_runner(tmp_path) as runner:
        assert difference(source, runner) < rounding(terms_of(source.config))
    with ONNXFormat(int8=True).open_runner(tmp_path) as runner:
        assert runner.run(*(each.numpy() for each in folders.batch())).shape == (4, 16)


def test_inputs_beyond_the_positions_are_refused(exported: tuple[Source, Path]) -> None:
    long = np.ones((1, 33), np.int64)
    with (
        ONNXFormat().open_runner(exported[1]) as runner,
        pytest.raises(Exception, match="out of data bounds"),
    ):
        runner.run(long, long, long)


@pytest.mark.parametrize("missing", ["onnxscript", "onnx"])
def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependencyError, match=rf"'{missing}'.*\[export\]"):
        ONNXFormat().write(made("ner"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"'onnxruntime'.*\[export\]"):
        ONNXFormat().open_runner(tmp_path)


def test_no_file_and_a_damaged_one(exported: tuple[Source, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.onnx; .*--format onnx writes it\.$"):
        ONNXFormat().open_runner(tmp_path)
    with pytest.raises(CheckpointError, match=r"no model\.int8\.onnx; .*--int8 writes it\.$"):
        ONNXFormat(int8=True).open_runner(tmp_path)
    whole = (exported[1] / "model.onnx").read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2]):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(FormatError, match=r"cannot open .*model\.onnx"):
            ONNXFormat().open_runner(tmp_path)


@pytest.mark.parametrize("int8", [False, True])
def test_the_example(exported: tuple[Source, Path], tmp_path: Path, int8: bool) -> None:
    shutil.copytree(exported[1], tmp_path, dirs_exist_ok=True)
    exported[0].tokenizer.save(tmp_path)
    about = {
        "task": "classification", "max_length": 8, "labels": folders.LABELS, "quantized": int8,
        "several": False, "decoding": {},
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(about))
    copy_program("onnx", "classification", tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "predict.py", "the cat a b c a b", "c"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    header, row = (line.split("\t") for line in done.stdout.splitlines())
    assert header == ["text", "label", *(f"p({label})" for label in folders.LABELS)]
    assert row[0] == "the cat a b c a b ||| c"
    shares = [float(cell) for cell in row[2:]]
    ids = [[2, 10, 11, 5, 6, 3, 7, 3]]  # cut to 8 tokens
    types = [[0, 0, 0, 0, 0, 0, 1, 1]]
    with ONNXFormat(int8=int8).open_runner(tmp_path) as runner:
        wanted = runner.run(*(np.array(each) for each in (ids, types, np.ones((1, 8), np.int64))))
    powers = np.exp(wanted[0] - wanted[0].max())
    np.testing.assert_allclose(shares, powers / powers.sum(), rtol=1e-5)
    assert row[1] == folders.LABELS[int(np.argmax(shares))]


def test_the_twin_shares_its_weights() -> None:
    source = made("classification")
    twin = graph.in_rows(source)

    assert twin.model is not source.model
    assert all(
        one.data_ptr() == two.data_ptr()
        for one, two in zip(twin.model.parameters(), source.model.parameters(), strict=True)
    )


def test_tools_that_turn_weights_around_can_read_it(
    exported: tuple[Source, Path], tmp_path: Path
) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(exported[1] / "model.onnx", tmp_path / "model.onnx", per_channel=True)
    with ONNXFormat().open_runner(tmp_path) as runner:
        assert runner.run(*(each.numpy() for each in folders.batch())).shape == (4, 3)
