"""The reader and the writer of TensorFlow's checkpoints against TensorFlow itself.

``PLAINBERT_TENSORFLOW`` names a Python that has it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.tensorflow import reader
from plainbert.formats.tensorflow.bundle import Bundle
from plainbert.formats.tensorflow.bundle_writer import write_bundle
from plainbert.formats.tensorflow.names import to_google

pytestmark = pytest.mark.tensorflow

PROGRAMS = Path(__file__).parent / "programs"


def run(program: str, *arguments: str | Path) -> None:
    python = os.environ.get("PLAINBERT_TENSORFLOW", "")
    assert python, "PLAINBERT_TENSORFLOW must name a Python that has TensorFlow"
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [python, PROGRAMS / program, *map(str, arguments)],
        env=os.environ | quiet, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What TensorFlow wrote, one folder per case, with its values in an .npz beside it."""
    folder = tmp_path_factory.mktemp("made")
    run("write.py", folder)
    return folder


def prefix_of(folder: Path) -> Path:
    """The checkpoint that was written last."""
    newest = max(folder.glob("*.index"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return newest.with_name(newest.name.removesuffix(".index"))


def same(tensor: Tensor, value: np.ndarray) -> bool:
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    found = tensor.numpy()
    kinds = (found.dtype, found.shape) == (value.dtype, value.shape)
    return kinds and found.tobytes() == value.tobytes()


CASES = (
    "pretraining", "classifier", "scoped", "regression", "squad", "sharded", "partitioned",
    "types", "strings", "many", "objects", "named",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_read(made: Path, case: str) -> None:
    bundle = Bundle.open(prefix_of(made / case))
    values = np.load(made / f"{case}.npz")
    strings = {name for name, entry in bundle.entries.items() if entry.dtype == 7}
    assert set(bundle.entries) - strings == set(values.files)
    for name in values.files:
        assert same(bundle.tensor(name), values[name]), name
    for name in strings:
        with pytest.raises(FormatError, match=f"{name} holds strings"):
            bundle.tensor(name)


@pytest.mark.parametrize(
    "case", ["pretraining", "classifier", "scoped", "regression", "squad", "types", "many"]
)
def test_we_write_the_same_bytes(made: Path, tmp_path: Path, case: str) -> None:
    prefix = prefix_of(made / case)
    bundle = Bundle.open(prefix)
    write_bundle(tmp_path / "x", {name: bundle.tensor(name) for name in bundle.entries})
    for end in (".index", ".data-00000-of-00001"):
        theirs = prefix.with_name(prefix.name + end)
        assert (tmp_path / f"x{end}").read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    ("case", "architecture", "classes"),
    [
        ("pretraining", "BertForPreTraining", 2),
        ("sharded", "BertForPreTraining", 2),
        ("classifier", "BertForSequenceClassification", 3),
        ("scoped", "BertForSequenceClassification", 4),
        ("regression", "BertForSequenceClassification", 1),
        ("squad", "BertForQuestionAnswering", 2),
        ("named", "BertModel", 2),
    ],
)
def test_models_are_recognized(made: Path, case: str, architecture: str, classes: int) -> None:
    foreign = reader.read(made / case, num_heads=3)
    values = np.load(made / f"{case}.npz")
    assert foreign.config.architectures == (architecture,)
    assert foreign.config.num_labels == classes
    assert foreign.config.problem_type == (
        "regression"
        if case == "regression"
        else {
            "classifier": "single_label_classification",
            "scoped": "single_label_classification",
        }.get(case)
    )
    sizes = (foreign.config.num_hidden_layers, foreign.config.hidden_size)
    assert sizes == (2, 12)
    query = "bert/encoder/layer_1/attention/self/query/kernel"
    if case == "named":
        query = query.replace("/", ".S") + "/.ATTRIBUTES/VARIABLE_VALUE"
    ours = foreign.tensors["bert.encoder.layer.1.attention.self.query.weight"]
    assert torch.equal(ours, torch.from_numpy(values[query]).T)
    assert len(foreign.tensors) + len(foreign.unused) == len(Bundle.open(foreign.source).entries)
    if case == "pretraining":
        assert foreign.source.name == "model.ckpt-100"
        slots = {name.rpartition("/")[2] for name in foreign.unused if "/" in name}
        assert slots == {"Adam", "Adam_1"}
        assert {"beta1_power", "beta2_power", "global_step"} < set(foreign.unused)


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("old", FormatError, "before 0.12"),
        ("old/model.ckpt", FormatError, "before 0.12"),
        ("objects", CheckpointError, "object-based"),
        ("types", CheckpointError, "no variable of Google's BERT"),
    ],
)
def test_others_are_refused(made: Path, case: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        reader.read(made / case)
    assert reader.looks_like(made / case)


def test_parts_along_two_dimensions_are_refused(made: Path) -> None:
    bundle = Bundle.open(made / "grid" / "model.ckpt")
    with pytest.raises(FormatError, match="both is stored in 4 parts"):
        bundle.tensor("both")


def test_tensorflow_reads_what_we_write(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=9,
    )
    sizes = {"V": 40, "D": 12, "P": 9, "T": 2, "F": 20, "2": 2, "C": 3}
    places = to_google(config.num_hidden_layers)
    tensors = {}
    for name, each in places.items():
        shape = [sizes[letter] for letter in each.shape]
        drawn = torch.randn(shape, generator=generator)
        tensors[name] = drawn.T if each.transposed else drawn
    assert reader.write(tmp_path, tensors, config, ["[PAD]", "a"]) == ()
    others = {
        "half": torch.randn(3, 4, generator=generator).half(),
        "brain": torch.randn(5, generator=generator).bfloat16(),
        "double": torch.randn(2, 2, 2, generator=generator).double(),
        "long": torch.arange(7), "int": torch.tensor(5, dtype=torch.int32),
        "flags": torch.tensor([True, False]), "bytes": torch.arange(3, dtype=torch.uint8),
        "small": torch.arange(-2, 2, dtype=torch.int8),
    }  # fmt: skip
    write_bundle(tmp_path / "others", others)
    model = tmp_path / "bert_model.ckpt"
    run("read.py", model, tmp_path / "a.npz", tmp_path / "others", tmp_path / "b.npz")
    values = np.load(tmp_path / "a.npz")
    assert set(values.files) == {each.google for each in places.values()}
    for name, each in places.items():
        tensor = tensors[name].T if each.transposed else tensors[name]
        assert same(tensor, values[each.google]), name
    found = np.load(tmp_path / "b.npz")
    assert set(found.files) == set(others)
    for name, tensor in others.items():
        assert same(tensor, found[name]), name
