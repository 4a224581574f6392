"""Both directions between plainbert and real MXNet with real GluonNLP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plainbert import checkpoint
from plainbert.config import BertConfig
from plainbert.formats.gluonnlp import params, reader
from plainbert.nn.bert import Bert
from plainbert.nn.models import MODELS
from plainbert.nn.names import HEADS, head_of
from plainbert.text import gluonnlp_vocab
from plainbert.text.vocab import Vocab
from tests.helpers import params_files as raw
from tests.helpers.rounding import rounding, terms_of

pytestmark = pytest.mark.mxnet

# As in programs/nets.py.
CONFIG = BertConfig(
    vocab_size=57,
    hidden_size=48,
    num_hidden_layers=3,
    num_attention_heads=6,
    intermediate_size=80,
    max_position_embeddings=20,
)
HEAD_OF_NET = {
    "bert": "pretraining", "encoder": "embedding", "classification": "classification",
    "regression": "regression", "old_regression": "regression", "span": "question_answering",
    "tagging": "token_classification",
}  # fmt: skip
CLASSES = {"classification": 4, "regression": 1, "old_regression": 1, "tagging": 7}
LENGTHS = [20, 11, 1, 7]
TEXT = Path(__file__).resolve().parent.parent / "fixtures" / "text"


def save_inputs(folder: Path) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    data = {
        "ids": draw.integers(0, 57, (4, 20)).astype("float32"),
        "types": draw.integers(0, 2, (4, 20)).astype("float32"),
        "lengths": np.float32(LENGTHS),
        "places": np.float32([[1, 5], [10, 0], [0, 0], [6, 3]]),
    }
    np.savez(folder / "inputs.npz", **data)
    return data


def outputs(model: Any, name: str, data: dict[str, np.ndarray]) -> list[torch.Tensor]:
    """What the GluonNLP net of that name gives, computed by our model."""
    ids, types = (torch.from_numpy(data[key]).long() for key in ("ids", "types"))
    mask = (torch.arange(20) < torch.tensor(LENGTHS)[:, None]).long()
    with torch.no_grad():
        output = getattr(model, "bert", model)(ids, types, mask)
        hidden = output.hidden * mask[..., None]  # zero behind the end, as there
        if name == "encoder":
            return [hidden]
        if name == "bert":
            places = torch.from_numpy(data["places"]).long()
            masked = hidden.gather(1, places[..., None].expand(-1, -1, 48))
            sentences = model.cls.seq_relationship(output.pooled)
            return [hidden, output.pooled, sentences, model.mlm(masked, None, None)]
        if name == "span":
            return [model.qa_outputs(hidden)]
        return [model.classifier(hidden if name == "tagging" else output.pooled)]


def fresh(name: str) -> Any:
    """One of our models with random weights."""
    head = HEAD_OF_NET[name]
    labels = tuple(f"l{row}" for row in range(CLASSES[name])) if name in CLASSES else None
    config = CONFIG.replace(
        id2label=labels,
        architectures=(HEADS[head].architecture,),
        problem_type=HEADS[head].problem_type,
    )
    model = Bert(config, pooler=False) if head == "embedding" else MODELS[head](config)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            tensor.normal_(std=0.2).add_(1 if "LayerNorm.weight" in key else 0)
    return model.eval()


def worst(got: list[torch.Tensor], wanted: dict[str, np.ndarray], case: str) -> float:
    """The largest difference of any output, in units of the rounding of that output."""
    keys = [key for key in wanted if key.startswith(f"{case}/")]
    assert len(keys) == len(got), case
    pairs = [(got[int(key.split("/")[1])], torch.from_numpy(wanted[key])) for key in keys]
    assert max(float(two.abs().max()) for _, two in pairs) > 0.1
    units = [rounding(terms_of(CONFIG), two) for _, two in pairs]
    return max(
        float((one - two).abs().max()) / unit for (one, two), unit in zip(pairs, units, strict=True)
    )


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, run_there: Callable[..., None]) -> Path:
    """A folder of files that real MXNet wrote."""
    folder = tmp_path_factory.mktemp("there")
    save_inputs(folder)
    run_there("write_there.py", folder)
    return folder


@pytest.mark.parametrize("name", HEAD_OF_NET)
@pytest.mark.parametrize("layout", ["plain", "once", "flat", "export"])
def test_their_models_open_here(there: Path, name: str, layout: str) -> None:
    file = there / (
        f"{name}_export-0000.params" if layout == "export" else f"{name}_{layout}.params"
    )
    found = reader.read(file, num_heads=6)
    assert found.unused == ()
    config = found.config
    head = head_of(config.architectures[0], config.problem_type, config.num_labels)
    assert head == HEAD_OF_NET[name]
    model = Bert(config, pooler=False) if head == "embedding" else MODELS[head](config)
    checkpoint.load(model, found.tensors)
    data, wanted = dict(np.load(there / "inputs.npz")), dict(np.load(there / "outputs.npz"))
    assert worst(outputs(model.eval(), name, data), wanted, name) <= 1


@pytest.mark.parametrize("name", [name for name in HEAD_OF_NET if name != "old_regression"])
def test_their_files_are_written_again_byte_for_byte(
    there: Path, tmp_path: Path, name: str
) -> None:
    for layout in ("plain", "once"):
        found = reader.read(there / f"{name}_{layout}.params", num_heads=6)
        once = layout == "once"
        reader.write(tmp_path, found.tensors, found.config, name=layout, deduplicate=once)
        wanted = (there / f"{name}_{layout}.params").read_bytes()
        assert (tmp_path / f"{layout}.params").read_bytes() == wanted, layout


def test_their_arrays(there: Path) -> None:
    wanted = dict(np.load(there / "arrays.npz"))
    for file in ("arrays", "list"):
        found = params.read(there / f"{file}.params")
        assert len(found) == len(wanted) == 12
        for tensor, (name, array) in zip(found.values(), wanted.items(), strict=True):
            assert str(tensor.dtype) == f"torch.{array.dtype}", name
            assert np.array_equal(tensor.numpy(), array), name
    numpy = params.read(there / "v3.params")
    assert numpy["matrix"].tolist() == [[1.5, -2.0]]
    assert (numpy["scalar"].item(), tuple(numpy["empty"].shape)) == (7.0, (0, 3))
    assert numpy["whole"].tolist() == [1, 2]


def test_their_vocabulary(there: Path) -> None:
    path = there / "counted.vocab"
    vocab = Vocab.read(path)
    assert vocab.tokens[:5] == ("[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]")
    text = path.read_text("utf-8")
    # Counted words lie in token_to_idx by frequency: the same object, another order.
    assert Vocab.read(write_vocab(there / "ours", vocab)) == vocab
    assert sorted(text) == sorted((there / "ours").read_text("utf-8"))


def write_vocab(path: Path, vocab: Vocab) -> Path:
    gluonnlp_vocab.write(path, vocab)
    return path


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, run_there: Callable[..., None]) -> Path:
    """A folder of files that we wrote, and what real MXNet made of them."""
    folder = tmp_path_factory.mktemp("here")
    data = save_inputs(folder)
    torch.manual_seed(7)
    expected = {}
    for name in HEAD_OF_NET:
        if name == "old_regression":  # we write regression as a classifier, as GluonNLP since 0.9
            continue
        model = fresh(name)
        prefix = "bert." if name == "encoder" else ""
        state = {prefix + key: tensor for key, tensor in model.state_dict().items()}
        for once in (False, True) if name == "bert" else (False,):
            case = f"{name}-once" if once else name
            (folder / case).mkdir()
            vocab = Vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(52))])
            lost = reader.write(folder / case, state, model.config, vocab, deduplicate=once)
            assert lost == ()
            for row, array in enumerate(outputs(model, name, data)):
                expected[f"{case}/{row}"] = array.numpy()
    np.savez(folder / "expected.npz", **expected)
    write_arrays(folder)
    for name in ("cased", "chinese"):
        gluonnlp_vocab.write(folder / f"{name}.vocab", Vocab.from_txt(TEXT / f"{name}.txt"))
    run_there("read_there.py", folder)
    return folder


def write_arrays(folder: Path) -> None:
    """Every type MXNet 1.9 has, in every version, by the tests' own writer and by ours."""
    kinds = ["float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool"]
    arrays = {kind: np.arange(-6, 6).reshape(3, 4).astype(kind) for kind in kinds}
    for version in (raw.v0, raw.v1, raw.v2):
        records = [version(array) for array in arrays.values()]
        path = folder / f"arrays_{version.__name__}.params"
        path.write_bytes(raw.listed(records, list(arrays)))
    rows = raw.sparse(1, (5, 2), np.float32([[1, 2]]), np.int64([3]))
    cells = raw.sparse(2, (2, 2), np.float32([9]), np.int64([0, 1, 1]), np.int64([1]))
    (folder / "arrays_sparse.params").write_bytes(raw.listed([rows, cells], ["rows", "cells"]))
    params.write(
        folder / "arrays_ours.params",
        {kind: torch.from_numpy(array).mT for kind, array in arrays.items()},
    )


@pytest.mark.parametrize("name", [*(n for n in HEAD_OF_NET if n != "old_regression"), "bert-once"])
def test_our_models_open_there(here: Path, name: str) -> None:
    wanted, got = dict(np.load(here / "expected.npz")), dict(np.load(here / "outputs.npz"))
    arrays = [torch.from_numpy(wanted[key]) for key in wanted if key.startswith(f"{name}/")]
    assert worst(arrays, got, name) <= 1
    # Loaded there and saved again, the file is the same.
    if name != "bert-once":
        assert (here / name / "again").read_bytes() == (here / name / "model.params").read_bytes()


@pytest.mark.parametrize("file", ["v0", "v1", "v2", "ours", "sparse"])
def test_our_arrays_open_there(here: Path, file: str) -> None:
    theirs = dict(np.load(here / f"arrays_{file}.npz"))
    ours = params.read(here / f"arrays_{file}.params")
    assert ours.keys() == theirs.keys()
    assert len(ours) == (2 if file == "sparse" else 8)
    for name, array in theirs.items():
        assert np.array_equal(ours[name].numpy(), array), name
        assert str(ours[name].dtype) == f"torch.{array.dtype}"


@pytest.mark.parametrize("name", ["cased", "chinese"])
def test_our_vocabularies_open_there(here: Path, name: str) -> None:
    written = (here / f"{name}.vocab").read_bytes()
    assert (here / f"{name}.vocab.again").read_bytes() == written
