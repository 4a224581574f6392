"""Safetensors, indexes and configs that lie: refused before anything is made of them."""

from __future__ import annotations

import json
import resource

import pytest
import safetensors.torch
import torch

from plainbert import checkpoint
from plainbert.errors import CheckpointError, FormatError, PlainBertError
from plainbert.files import read_json, write_json
from tests.helpers.folders import tiny, tokenizer
from tests.test_checkpoint import shard


@pytest.fixture
def folder(tmp_path):
    return checkpoint.write(tmp_path / "model", tiny(), tokenizer())


def header(size=None, **entries):
    """A safetensors file of nothing but a header."""
    text = json.dumps(entries).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "content",
    [
        header(0),
        header(2**63),
        header(2**64 - 1),
        header(10**9),
        (10**7).to_bytes(8, "little") + b"[" * 10**7,
        header(x=entry()),
        header(x=entry(offsets=(0, 10**12), shape=(25 * 10**10,))),
        header(x=entry(offsets=(8, 0))) + b"\0" * 8,
        header(x=entry(shape=(2**62, 4))) + b"\0" * 8,
        header(x=entry(shape=(-2,))) + b"\0" * 8,
        header(x=entry(), y=entry()) + b"\0" * 8,
        header(x=entry(offsets=(0, 8)), y=entry(offsets=(4, 12))) + b"\0" * 12,
        header(x=entry("Q9")) + b"\0" * 8,
        header(x=entry("F4", (16,))) + b"\0" * 8,
        header(__metadata__={"format": 3}, x=entry()) + b"\0" * 8,
        header(x=entry()) + b"\0" * 12,
    ],
    ids=[
        "no header",
        "2**63",
        "2**64",
        "longer than the file",
        "deep",
        "no data",
        "huge",
        "backwards",
        "overflow",
        "negative",
        "twice the same",
        "overlap",
        "unknown type",
        "4 bits",
        "metadata",
        "too much data",
    ],
)
def test_headers_that_lie(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(PlainBertError, match=r"model.safetensors|lacks embeddings"):
        checkpoint.read(folder).tensors()


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e4m3fn, torch.complex64])
def test_types_that_are_no_weights(folder, dtype):
    tensors = checkpoint.read(folder).tensors()
    tensors["bert.pooler.dense.bias"] = torch.zeros(16).to(dtype)
    safetensors.torch.save_file(tensors, folder / "x.safetensors")
    (folder / "x.safetensors").rename(folder / "model.safetensors")
    with pytest.raises(FormatError, match="pooler.dense.bias holds torch.*floating point"):
        checkpoint.load(tiny(), checkpoint.read(folder).tensors())


def test_value_that_is_finite_only_in_the_file(folder):
    tensors = checkpoint.read(folder).tensors()
    tensors["bert.pooler.dense.bias"] = torch.full((16,), 1e300, dtype=torch.float64)
    with pytest.raises(CheckpointError, match="16 of 16 values of pooler.dense.bias"):
        checkpoint.load(tiny(), tensors)


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "/etc/passwd.safetensors",
        "a/../b.safetensors",
        "..",
        "",
        "a\0.safetensors",
        "a\n.safetensors",
        "x" * 300 + ".safetensors",
        ".safetensors",
        "..\\model.safetensors",
        "https://x.safetensors",
        "a.bin",
        None,
        3,
        ["a.safetensors"],
    ],
    ids=repr,
)
def test_index_that_leads_elsewhere(folder, name):
    shard(folder, checkpoint.read(folder).tensors(), **{"classifier.bias": name})
    with pytest.raises(FormatError, match="names the file"):
        checkpoint.read(folder)


def test_index_that_names_a_folder(folder):
    shard(folder, checkpoint.read(folder).tensors(), **{"classifier.bias": "c.safetensors"})
    (folder / "c.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"names the file c.safetensors, which is a folder"):
        checkpoint.read(folder)


def test_tensor_in_two_shards(folder):
    tensors = checkpoint.read(folder).tensors()
    shard(folder, tensors)
    twice = {name: each.clone() for name, each in tensors.items()}
    safetensors.torch.save_file(twice, folder / "b.safetensors")
    with pytest.raises(CheckpointError, match="b.safetensors holds tensors of another file"):
        checkpoint.read(folder).tensors()


@pytest.mark.parametrize("name", ["config.json", "plainbert.json", "model.safetensors.index.json"])
@pytest.mark.parametrize(
    "content",
    ["[" * 10**6, '{"a":' * 10**5, '{"a": ' + "9" * 10**5 + "}", "\xff", "", "[1]", "null"],
    ids=["deep", "deep objects", "digits", "not text", "empty", "list", "null"],
)
def test_json_that_is_none(folder, name, content):
    if name.startswith("model"):
        shard(folder, checkpoint.read(folder).tensors())
    (folder / name).write_bytes(content.encode("latin1"))
    with pytest.raises(FormatError, match=name):
        checkpoint.read(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 10**9, "num_attention_heads": 1}, "vocab_size, hidden_size"),
        ({"vocab_size": 10**15}, "vocab_size, hidden_size"),
        ({"num_hidden_layers": 10**9}, "holds 2 layers, but config.json states"),
        ({"num_hidden_layers": 1}, "holds 2 layers, but config.json states"),
        ({"intermediate_size": 10**12}, "intermediate_size, hidden_size"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings, hidden_size"),
        ({"type_vocab_size": 10**12}, "type_vocab_size, hidden_size"),
        ({"id2label": None, "num_labels": 10**12}, "num_labels=1000000000000; at most"),
        ({"hidden_size": "16"}, "hidden_size='16'"),
        ({"vocab_size": 12.0}, "vocab_size=12.0"),
        ({"num_hidden_layers": None}, "num_hidden_layers=None"),
        ({"layer_norm_eps": "small"}, "config.json"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps=nan"),
        ({"layer_norm_eps": 10**400}, "layer_norm_eps=1000"),
        ({"layer_norm_eps": None}, "layer_norm_eps=None"),
        ({"hidden_dropout_prob": []}, "config.json"),
        ({"architectures": 3}, "architectures=3"),
        ({"architectures": [["x"]]}, "architectures"),
        ({"id2label": {"0": "a", "7": "b"}}, "id2label must name ids 0 to n-1"),
        ({"id2label": 3}, "id2label=3; the names of the classes"),
        ({"is_decoder": True}, "is_decoder=True: a decoder"),
        ({"add_cross_attention": True}, "add_cross_attention=True: a decoder"),
        ({"architectures": ["BertLMHeadModel"]}, "architectures names BertLMHeadModel: a decoder"),
        ({"pruned_heads": {"1": [0]}}, "pruned_heads is not empty"),
    ],
    ids=str,
)
def test_config_that_fits_no_file(folder, changes, message):
    path = folder / "config.json"
    path.write_text(json.dumps(read_json(path) | changes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PlainBertError, match=message):
        checkpoint.read(folder).tensors()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # KB


@pytest.mark.parametrize("value", [3, ["mean"], {"a": 1}])
def test_pooling_that_is_no_name(folder, value):
    write_json(folder / "plainbert.json", {"pooling": value})
    with pytest.raises(FormatError, match="pooling=.*; text is expected"):
        checkpoint.read(folder)


def test_weights_of_no_bert(folder):
    safetensors.torch.save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="do not hold a BERT"):
        checkpoint.read(folder).tensors()


def test_layers_with_a_gap(folder):
    tensors = checkpoint.read(folder).tensors()
    moved = {name.replace("layer.1.", "layer.7."): each for name, each in tensors.items()}
    safetensors.torch.save_file(moved, folder / "x.safetensors")
    (folder / "x.safetensors").rename(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds the layers 0, 7, but config.json states"):
        checkpoint.read(folder).tensors()
