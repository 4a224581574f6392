"""The folder of pytorch-pretrained-BERT: torch reads the file, transformers and we the folder."""

from __future__ import annotations

import zipfile

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from plainbert import checkpoint, files
from plainbert.errors import CheckpointError
from plainbert.formats.pytorch import folder as pytorch
from plainbert.nn.bert import Bert
from plainbert.nn.models import MODELS
from plainbert.nn.names import HEADS
from tests.helpers.folders import TOKENS, batch, tiny

KINDS = ["embedding", *MODELS]


def config_of(model, head):
    return model.config.replace(
        architectures=(HEADS[head].architecture,), problem_type=HEADS[head].problem_type
    )


def foreign(model, head):
    """The weights as readers of other formats return them: the body with ``bert.``."""
    prefix = "bert." if head == "embedding" else ""
    return {prefix + name: each for name, each in model.state_dict().items()}


def written(folder, head="classification", **options):
    folder.mkdir(exist_ok=True)
    model = tiny(head)
    dropped = pytorch.write(
        folder, foreign(model, head), config_of(model, head), TOKENS, True, **options
    )
    assert dropped == ()
    return model


@pytest.mark.parametrize("head", KINDS)
def test_transformers_opens_it(tmp_path, head):
    model = written(tmp_path / "old", head)
    kind = getattr(transformers, HEADS[head].architecture)
    theirs, info = kind.from_pretrained(tmp_path / "old", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    expected = model.state_dict()
    for name, weight in theirs.state_dict().items():
        if name in expected:
            assert torch.equal(weight, expected[name]), name
    assert expected.keys() <= theirs.state_dict().keys()
    assert transformers.BertTokenizer.from_pretrained(tmp_path / "old").vocab_size == len(TOKENS)


@pytest.mark.parametrize("old_names", [True, False])
@pytest.mark.parametrize("head", KINDS)
def test_we_open_it(tmp_path, head, old_names):
    model = written(tmp_path / "old", head, old_names=old_names)
    stored = checkpoint.read(tmp_path / "old")
    assert stored.head == head
    with checkpoint.MetaInit():
        again = Bert(stored.config) if head == "embedding" else MODELS[head](stored.config)
    assert checkpoint.load(again, stored.tensors()).ignored == ()
    ids, types, mask = batch()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])


def test_names_of_that_library(tmp_path):
    written(tmp_path / "old", "pretraining")
    names = torch.load(tmp_path / "old" / "pytorch_model.bin", weights_only=True)
    assert "bert.embeddings.LayerNorm.gamma" in names
    assert "bert.encoder.layer.1.attention.output.LayerNorm.beta" in names
    assert "cls.predictions.transform.LayerNorm.gamma" in names
    tied = names["cls.predictions.decoder.weight"]
    assert tied.data_ptr() == names["bert.embeddings.word_embeddings.weight"].data_ptr()
    assert not any("LayerNorm.weight" in name or name.endswith("LayerNorm.bias") for name in names)

    written(tmp_path / "body", "embedding")
    names = torch.load(tmp_path / "body" / "pytorch_model.bin", weights_only=True)
    assert "embeddings.LayerNorm.gamma" in names
    assert not any(name.startswith("bert.") for name in names)


def test_config_has_googles_keys(tmp_path):
    model = written(tmp_path / "old")
    values = files.read_json(tmp_path / "old" / "bert_config.json")
    assert list(values) == list(pytorch.CONFIG)
    assert values["hidden_size"] == model.config.hidden_size
    assert (tmp_path / "old" / "vocab.txt").read_text().split("\n") == [*TOKENS, ""]


def test_what_has_no_place_is_named(tmp_path):
    model = tiny()
    extra = {"bert.adapter.weight": torch.zeros(1), "regression.weight": torch.zeros(1)}
    config = config_of(model, "classification")
    dropped = pytorch.write(tmp_path, model.state_dict() | extra, config, TOKENS, True)
    assert dropped == tuple(extra)


@pytest.mark.parametrize("changes", [{"hidden_act": "gelu_new"}, {"layer_norm_eps": 1e-5}])
def test_what_that_library_would_compute_otherwise(tmp_path, changes):
    model = tiny()
    config = config_of(model, "classification").replace(**changes)
    with pytest.raises(CheckpointError, match=next(iter(changes)) + "|has no activation"):
        pytorch.write(tmp_path, model.state_dict(), config, TOKENS, True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", list(pytorch.STORAGES))
def test_file_beside_torchs_own(tmp_path, dtype):
    base = torch.randn(5, 7).to(dtype)
    tensors = {"base": base, "t": base.t(), "part": base[1:3, 2:4], "one": base[0, 0], "é": base}
    tensors["empty"] = torch.empty(0, 3, dtype=dtype)
    pytorch.save(tmp_path / "ours.bin", tensors)
    for mapped in (True, False):
        found = torch.load(tmp_path / "ours.bin", weights_only=True, mmap=mapped)
        assert list(found) == list(tensors)
        for name, tensor in tensors.items():
            assert found[name].dtype == dtype
            assert torch.equal(found[name], tensor)
    with zipfile.ZipFile(tmp_path / "ours.bin") as archive:
        assert archive.testzip() is None
    torch.save(tensors, tmp_path / "theirs.bin")
    with zipfile.ZipFile(tmp_path / "theirs.bin") as archive:
        theirs = {name.partition("/")[2] for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "ours.bin") as archive:
        ours = {name.partition("/")[2] for name in archive.namelist()}
    assert ours >= {"data.pkl", "byteorder", "version"}
    assert {name for name in theirs - ours if not name.startswith((".", "data/"))} == set()


def test_numbers_are_aligned(tmp_path):
    pytorch.save(tmp_path / "x.bin", {"a": torch.randn(3), "b": torch.randn(5)})
    found = torch.load(tmp_path / "x.bin", weights_only=True, mmap=True)
    assert all(each.data_ptr() % pytorch.ALIGNMENT == 0 for each in found.values())


def test_a_view_is_stored_without_its_file(tmp_path):
    save_file({"a": torch.randn(10), "b": torch.randn(10**5)}, tmp_path / "x.safetensors")
    pytorch.save(tmp_path / "x.bin", {"a": load_file(tmp_path / "x.safetensors")["a"]})
    assert (tmp_path / "x.bin").stat().st_size < 2000
