"""What training computes by hand: dropout, sum and norm, 16-bit products."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from plainbert.nn.dropout import dropout, mask
from plainbert.nn.linear import Linear, product
from plainbert.nn.norm import add_norm


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.003])
def test_the_mask_drops_as_often_as_asked(dtype, p):
    torch.manual_seed(4)
    keep = mask(torch.empty(1001, 999, dtype=dtype), p)
    assert keep.dtype is dtype
    assert set(keep.unique().tolist()) == {0.0, 1.0}
    count = keep.numel()
    dropped = count - float(keep.double().sum())
    # Five standard deviations; the rounding of p to 16 bits is far below that.
    assert abs(dropped - p * count) < 5 * (count * p * (1 - p)) ** 0.5


def test_neighbours_of_one_draw_are_independent():
    """Four elements share a 64-bit number; none of its parts may lean to one side."""
    torch.manual_seed(4)
    keep = mask(torch.empty(4 * 200_000), 0.3).view(-1, 4).double()
    assert (keep.mean(0) - 0.7).abs().max() < 0.006
    assert (torch.corrcoef(keep.T) - torch.eye(4)).abs().max() < 0.012


def test_dropout_scales_what_it_keeps_and_its_gradient():
    torch.manual_seed(1)
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    y = dropout(x, 0.25)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / 0.75, rtol=0, atol=1e-14)
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept.double() / 0.75, rtol=0, atol=1e-14)
    assert dropout(x, 0.0) is x


def test_the_seed_decides():
    x = torch.ones(99)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(x, 0.5))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_add_norm_is_dropout_sum_and_norm():
    """Against autograd over the formula, with the mask of the same seed."""
    torch.manual_seed(0)
    norm = nn.LayerNorm(6, eps=1e-12).double()
    nn.init.normal_(norm.weight)
    inputs = [torch.randn(9, 6, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    leaves = [*inputs, norm.weight, norm.bias]
    weights = torch.randn(9, 6, dtype=torch.float64)

    torch.manual_seed(5)
    ours = add_norm(*inputs, norm, 0.3)
    got = torch.autograd.grad((ours * weights).sum(), leaves)

    torch.manual_seed(5)
    total = inputs[1] + inputs[0] * mask(inputs[1], 0.3) / 0.7
    centred = total - total.mean(-1, keepdim=True)
    want = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    want = want * norm.weight + norm.bias
    torch.testing.assert_close(ours, want, rtol=0, atol=1e-12)
    for one, other in zip(got, torch.autograd.grad((want * weights).sum(), leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sizes", [(5,), (8, 8, 8), (2, 3)])
def test_products_have_the_gradient_of_their_maps(sizes):
    """In float64 for the copies too, so that only the arithmetic is under test."""
    torch.manual_seed(0)
    maps = [nn.Linear(7, size).double() for size in sizes]
    x = torch.randn(11, 7, dtype=torch.float64, requires_grad=True)
    leaves = [x, *(each.weight for each in maps), *(each.bias for each in maps)]
    copy_16_bit = (torch.cat(leaves[1 : len(maps) + 1]), torch.cat(leaves[len(maps) + 1 :]))
    copy_16_bit = tuple(each.detach() for each in copy_16_bit)
    weights = torch.randn(11, sum(sizes), dtype=torch.float64)

    ours = product(x, leaves[1 : len(maps) + 1], leaves[len(maps) + 1 :], copy_16_bit)
    want = torch.cat([each(x) for each in maps], -1)
    torch.testing.assert_close(ours, want, rtol=0, atol=1e-12)
    got = torch.autograd.grad((ours * weights).sum(), leaves)
    for one, other in zip(got, torch.autograd.grad((want * weights).sum(), leaves), strict=True):
        # The gradients of weights pass through float32.
        torch.testing.assert_close(one, other.to(one.dtype), rtol=0, atol=5e-6)


def test_a_16_bit_copy_is_used_in_training_only():
    torch.manual_seed(0)
    layer = Linear(6, 4)
    plain = F.linear(torch.ones(2, 6), layer.weight, layer.bias)
    layer.copy_16_bit = (layer.weight.detach().bfloat16(), layer.bias.detach().bfloat16())
    assert layer.train()(torch.ones(2, 6)).dtype is torch.bfloat16
    assert torch.equal(layer.eval()(torch.ones(2, 6)), plain)
    assert set(layer.state_dict()) == {"weight", "bias"}
