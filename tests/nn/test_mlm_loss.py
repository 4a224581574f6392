"""The loss over a vocabulary against torch's, its gradient, and what a gradient buffer gathers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from plainbert.nn.linear import ROWS as SINK_ROWS
from plainbert.nn.linear import product
from plainbert.nn.mlm_loss import ROWS, mlm_loss


def case(rows, words, dtype=torch.float64):
    logits = (torch.randn(rows, words, dtype=torch.float64) * 3).to(dtype)
    return logits.requires_grad_(), torch.randint(0, words, (rows,))


def found(logits, labels, scale):
    """Loss, hits and gradient; the logits pass through a map, as their memory is used up."""
    total, hits = mlm_loss(logits * 1, labels)
    (gradient,) = torch.autograd.grad(total * scale, logits)
    return total.detach(), hits, gradient


@pytest.mark.parametrize("scale", [1.0, -0.37, 1024.0])
@pytest.mark.parametrize(
    ("rows", "words"), [(1, 1), (1, 7), (ROWS - 1, 5), (ROWS, 5), (3 * ROWS + 2, 31), (40, 2000)]
)
def test_it_is_torchs_cross_entropy(rows, words, scale):
    logits, labels = case(rows, words)
    want = F.cross_entropy(logits, labels, reduction="sum")
    (slope,) = torch.autograd.grad(want * scale, logits)

    total, hits, gradient = found(logits, labels, scale)

    torch.testing.assert_close(total, want.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-12, atol=1e-12 * abs(scale))
    assert int(hits) == int((logits.argmax(1) == labels).sum())


def test_no_rows_are_no_loss():
    total, hits, gradient = found(*case(0, 9), 1.0)
    assert (float(total), int(hits), gradient.shape) == (0.0, 0, (0, 9))


def test_large_and_masked_logits_stay_finite():
    logits = torch.tensor([[9e4, -9e4, 0.0], [-torch.inf, 1.0, 0.0]], dtype=torch.float32)
    labels = torch.tensor([0, 1])
    total, hits, gradient = found(logits.requires_grad_(), labels, 1.0)
    want = F.cross_entropy(logits, labels, reduction="sum")
    torch.testing.assert_close(total, want.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(want, logits)[0])
    assert int(hits) == 2


@pytest.mark.parametrize("label", range(4))
def test_of_equal_logits_one_is_the_answer(label):
    """As argmax decides, so that training and evaluation count alike; and never two answers."""
    logits = torch.tensor([[1.0, 5.0, 5.0, 5.0]], requires_grad=True)
    _, hits, gradient = found(logits, torch.tensor([label]), 1.0)
    assert int(hits) == int(label == int(logits.argmax()))
    assert float(gradient.sum()) == pytest.approx(0, abs=1e-6)


def test_16_bits_are_close_and_sums_are_not_in_16_bits():
    logits, labels = case(300, 500, torch.bfloat16)
    exact = logits.detach().double().requires_grad_()
    want = F.cross_entropy(exact, labels, reduction="sum")
    (slope,) = torch.autograd.grad(want / 300, exact)

    total, hits, gradient = found(logits, labels, 1 / 300)

    assert total.dtype is torch.float32
    assert float(total) == pytest.approx(float(want.detach()), rel=1e-6)
    assert gradient.dtype is torch.bfloat16
    # Rounded to 8 bits when it is stored, when it is scaled, and once more by the map.
    torch.testing.assert_close(gradient.double(), slope, rtol=3 * 2**-8, atol=1e-9)
    assert int(hits) == int((logits.argmax(1) == labels).sum())


def test_hits_have_no_gradient_and_nothing_is_needed_without_one():
    logits, labels = case(5, 6)
    total, hits = mlm_loss(logits * 1, labels)
    assert not hits.requires_grad
    with torch.inference_mode():
        again, same = mlm_loss(logits * 1, labels)
    assert float(again) == float(total.detach())
    assert int(same) == int(hits)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("words", [3, SINK_ROWS, 2 * SINK_ROWS + 5])
def test_a_sink_gets_the_gradient_that_autograd_would_have(words, dtype):
    torch.manual_seed(3)
    weight, bias = nn.Parameter(torch.randn(words, 4)), nn.Parameter(torch.randn(words))
    copy_16_bit = (weight.detach().to(dtype), bias.detach().to(dtype))
    inputs = [torch.randn(9, 4, requires_grad=True) for _ in range(2)]
    slopes = [torch.randn(9, words) for _ in range(2)]

    def gradients(gradient_buffer):
        weight.grad = bias.grad = None
        for x, slope in zip(inputs, slopes, strict=True):
            x.grad = None
            y = product(x, [weight], [bias], copy_16_bit, gradient_buffer)
            (y * slope.to(dtype)).sum().backward()
        return [weight.grad, bias.grad, *(x.grad for x in inputs)]

    want = gradients(None)
    gradient_buffer = torch.zeros(words, 4)
    got = gradients(gradient_buffer)

    assert got[0] is None
    torch.testing.assert_close(gradient_buffer, want[0], rtol=1e-6, atol=1e-6)
    assert dtype is torch.float64 or torch.equal(gradient_buffer, want[0])
    assert all(torch.equal(a, b) for a, b in zip(got[1:], want[1:], strict=True))
