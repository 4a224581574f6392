"""Blank models take the stored tensors themselves."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from plainbert import checkpoint
from plainbert.nn.bert import Bert
from plainbert.nn.models import MODELS
from tests.helpers.folders import batch, tiny, tokenizer


def blank(head, config):
    with checkpoint.MetaInit():
        return Bert(config) if head == "embedding" else MODELS[head](config)


@pytest.fixture
def folder(tmp_path):
    return checkpoint.write(tmp_path / "model", tiny("embedding"), tokenizer())


def opened(folder):
    stored = checkpoint.read(folder)
    tensors = stored.tensors()
    model = blank("embedding", stored.config)
    checkpoint.load(model, tensors)
    return model.eval(), tensors


@pytest.mark.parametrize("head", ["embedding", *MODELS])
def test_blank_models_are_the_same_models(head):
    """Made blank or not, a model has the same parts; none of a blank one has memory."""
    model = tiny(head)
    made = blank(head, model.config)
    assert {name: each.shape for name, each in made.state_dict().items()} == {
        name: each.shape for name, each in model.state_dict().items()
    }
    assert all(each.is_meta for each in made.parameters())
    assert not list(made.buffers())
    assert str(made) == str(model)
    checkpoint.load(made, model.state_dict())
    for name, each in made.state_dict().items():
        assert torch.equal(each, model.state_dict()[name])
        assert made.get_parameter(name).requires_grad


def test_stored_tensors_are_not_copied(folder):
    model, tensors = opened(folder)
    for name, weight in model.named_parameters():
        assert weight.data_ptr() == tensors[name].data_ptr()


class Drawn(TorchDispatchMode):
    """Counts what draws or sets values."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("normal_", "uniform_", "fill_", "zero_"):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def test_nothing_is_drawn_for_nothing():
    config = tiny().config
    with Drawn() as drawn:
        Bert(config)
    assert len(drawn.names) > 20
    with Drawn() as drawn:
        blank("embedding", config)
    assert drawn.names == []


def test_training_in_place_changes_no_file_and_no_other_model(folder):
    before = (folder / "model.safetensors").read_bytes()
    model, _ = opened(folder)
    other, _ = opened(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    ids, types, mask = batch()
    for _ in range(2):
        optimizer.zero_grad()
        model(ids, types, mask).pooled.sum().backward()
        optimizer.step()
    untouched, _ = opened(folder)
    for name, weight in other.named_parameters():
        assert torch.equal(weight, untouched.get_parameter(name))
        assert not torch.equal(weight, model.get_parameter(name)) or "token_type" in name
    assert (folder / "model.safetensors").read_bytes() == before


def test_folder_replaced_while_in_use(folder):
    model, _ = opened(folder)
    ids, types, mask = batch()
    with torch.no_grad():
        before = model(ids, types, mask).hidden
    shutil.rmtree(folder)
    checkpoint.write(folder, tiny("embedding"), tokenizer())
    with torch.no_grad():
        assert torch.equal(model(ids, types, mask).hidden, before)


def test_models_with_memory_keep_it(folder):
    """An optimizer's references stay good when a run is resumed."""
    model = tiny("embedding")
    places = {name: each.data_ptr() for name, each in model.named_parameters()}
    checkpoint.load(model, checkpoint.read(folder).tensors())
    assert {name: each.data_ptr() for name, each in model.named_parameters()} == places


def test_another_type_is_converted(folder):
    half = {name: each.half() for name, each in checkpoint.read(folder).tensors().items()}
    model = blank("embedding", tiny().config)
    checkpoint.load(model, half)
    for name, each in model.named_parameters():
        assert each.dtype == torch.float32
        assert torch.equal(each, half[name].float())


@pytest.mark.parametrize("shift", [0, 3])
def test_weights_that_share_memory_in_the_file(folder, shift):
    """Trained, one would change the other."""
    tensors = dict(checkpoint.read(folder).tensors())
    memory = torch.randn(16 + 3)
    one, other = "pooler.dense.bias", "encoder.layer.0.output.dense.bias"
    tensors[one], tensors[other] = memory[:16], memory[shift : shift + 16]
    model = blank("embedding", tiny().config)
    checkpoint.load(model, tensors)
    with torch.no_grad():
        model.get_parameter(one).zero_()
    assert torch.equal(model.get_parameter(other), tensors[other]) or shift == 3
    assert model.get_parameter(other).abs().min() > 0


def test_transposed_tensors_become_contiguous(folder):
    tensors = dict(checkpoint.read(folder).tensors())
    tensors["pooler.dense.weight"] = tensors["pooler.dense.weight"].t().contiguous().t()
    model = blank("embedding", tiny().config)
    checkpoint.load(model, tensors)
    assert model.pooler.dense.weight.is_contiguous()
    assert torch.equal(model.pooler.dense.weight, tensors["pooler.dense.weight"])


def test_new_heads_of_blank_models_are_drawn(folder):
    torch.manual_seed(1)
    model = blank("classification", tiny().config)
    report = checkpoint.load(model, checkpoint.read(folder).tensors(), fresh_heads=True)
    assert report.fresh == ("classifier.weight", "classifier.bias")
    assert 0.1 < model.classifier.weight.std() < 0.5
    assert model.classifier.bias.eq(0).all()
