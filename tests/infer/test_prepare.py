"""A prepared model computes what the plain one does, and leaves that one alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from plainbert.config import BertConfig
from plainbert.infer import kernels
from plainbert.infer.precision import Precision
from plainbert.infer.prepare import precision_of, prepare
from plainbert.nn.bert import Bert
from plainbert.nn.layout import Packed
from plainbert.nn.models import MODELS
from tests.helpers.rounding import rounding, terms_of

LENGTHS = [2, 5, 5, 5, 9, 17]


def inputs(config: BertConfig) -> tuple[torch.Tensor, torch.Tensor]:
    total = sum(LENGTHS)
    return torch.randint(0, config.vocab_size, (total,)), torch.randint(0, 2, (total,))


def outputs(model: Bert, config: BertConfig) -> list[torch.Tensor]:
    torch.manual_seed(1)
    ids, types = inputs(config)
    layout = Packed(LENGTHS)
    with torch.inference_mode():
        output = model(ids, types, layout=layout, every_layer=True)
    assert output.pooled is not None
    return [*output.layers, output.pooled]


@pytest.fixture(params=[True, False], ids=["prepacked", "plain"])
def packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setattr(kernels, "prepacks", lambda dtype: False)
    return bool(request.param)


def test_equals_the_plain_model(bert: Bert, config: BertConfig, packs: bool) -> None:
    ready = prepare(bert)
    joined = ready.encoder.layer[0].attention.self.joined
    assert isinstance(joined, kernels.PrepackedLinear) == (
        packs and kernels.prepacks(torch.float32)
    )
    for got, right in zip(outputs(ready, config), outputs(bert, config), strict=True):
        atol = rounding(terms_of(config), right)
        torch.testing.assert_close(got, right, rtol=0, atol=atol)


def test_float64_equals_to_the_last_digits(bert: Bert, config: BertConfig) -> None:
    bert.double()
    ready = prepare(bert, Precision(torch.float64))
    for got, right in zip(outputs(ready, config), outputs(bert, config), strict=True):
        torch.testing.assert_close(got, right, rtol=0, atol=1e-12)


def test_bfloat16_points_the_same_way(bert: Bert, config: BertConfig, packs: bool) -> None:
    ready = prepare(bert, Precision(torch.bfloat16))
    for got, right in zip(outputs(ready, config), outputs(bert, config), strict=True):
        # Random weights of this size amplify rounding more than a trained model's.
        assert F.cosine_similarity(got.float(), right, dim=-1).min() > 0.998


def test_the_original_is_untouched_and_shared(bert: Bert) -> None:
    bert.train()
    before = copy.deepcopy(bert.state_dict())
    ready = prepare(bert, Precision(torch.bfloat16))
    assert bert.training
    assert not ready.training
    assert precision_of(ready) == Precision(torch.bfloat16)
    assert precision_of(bert) is None
    after = bert.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in bert.parameters())
    words = bert.embeddings.word_embeddings.weight
    assert ready.embeddings.word_embeddings.weight.data_ptr() == words.data_ptr()


@pytest.mark.parametrize("head", sorted(MODELS))
def test_every_head(head: str, config: BertConfig) -> None:
    model = MODELS[head](config.replace(id2label=("x", "y", "z"))).eval()
    ids, types = inputs(config)
    layout = Packed(LENGTHS)
    with torch.inference_mode():
        got, right = prepare(model)(ids, types, layout), model(ids, types, layout)
        low = prepare(model, Precision(torch.bfloat16))(ids, types, layout)
    parts = [output if isinstance(output, tuple) else (output,) for output in (got, right, low)]
    for got_part, right_part, low_part in zip(*parts, strict=True):
        atol = rounding(terms_of(config), right_part)
        torch.testing.assert_close(got_part, right_part, rtol=0, atol=atol)
        assert low_part.dtype == torch.float32


def test_the_probe_refuses_wrong_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: object) -> torch.Tensor:
        x = arguments[0]
        assert isinstance(x, torch.Tensor)
        return torch.zeros(len(x), 48, dtype=x.dtype)

    probe = kernels.prepacks.__wrapped__
    monkeypatch.setattr(kernels, "_pointwise", wrong)
    monkeypatch.setattr(wrong, "binary", wrong, raising=False)
    assert probe(torch.float32) is False


def test_the_probe_refuses_a_torch_without_the_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise AttributeError(name)

    monkeypatch.setattr(kernels, "_mkldnn", missing)
    assert kernels.prepacks.__wrapped__(torch.bfloat16) is False


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("maker", [kernels.FrozenLinear, kernels.linear], ids=["plain", "fastest"])
def test_maps(maker: type[nn.Module], dtype: torch.dtype) -> None:
    weight, bias = torch.randn(24, 16).to(dtype), torch.randn(24).to(dtype)
    x, other = torch.randn(7, 16), torch.randn(7, 24)
    made = maker(weight, bias)
    right = x.to(dtype).double() @ weight.double().T + bias.double()
    torch.testing.assert_close(made(x).double(), right, rtol=0, atol=40 * torch.finfo(dtype).eps)
    plus = made.plus(x, other)
    assert plus.dtype == torch.float32  # the wider of the two
    torch.testing.assert_close(
        plus.double(), right + other.double(), rtol=0, atol=40 * torch.finfo(dtype).eps
    )
    same = made.plus(x, other.to(dtype))
    assert same.dtype == dtype
