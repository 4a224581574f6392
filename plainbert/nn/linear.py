"""Linear maps whose training runs in a 16-bit type while their weights stay in float32.

Autocast would convert every weight in every forward pass. Here
:mod:`plainbert.train.module_state` keeps a 16-bit copy of the matrices, ``copy_16_bit``, and
refreshes it once per optimizer step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 1024


class Linear(nn.Linear):
    """torch's linear map; in training, with the 16-bit copy of its weights if there is one.

    Attributes:
        copy_16_bit: 16-bit weight and bias, or None. Not part of the state dict.
    """

    copy_16_bit: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.copy_16_bit is None or not self.training:
            return F.linear(x, self.weight, self.bias)
        return product(x, [self.weight], [self.bias], self.copy_16_bit)


def product(
    x: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    copy_16_bit: tuple[Tensor, Tensor],
    gradient_buffer: Tensor | None = None,
) -> Tensor:
    """Several linear maps of one input, side by side, in the 16-bit type of ``copy_16_bit``.

    Args:
        x: (..., D), float32 or the 16-bit type.
        weights: each (outputs, D), float32; they receive the gradient.
        biases: each (outputs,), float32.
        copy_16_bit: the weights below each other, and the biases, in the 16-bit type.
        gradient_buffer: the weights' gradient is added to it, and not handed to autograd. For a
            matrix as large as a vocabulary, which would otherwise be copied time and again.

    Returns:
        (..., sum of outputs), in the 16-bit type.
    """
    y: Tensor = _Product.apply(x, gradient_buffer, *copy_16_bit, *weights, *biases)
    return y


class _Product(torch.autograd.Function):
    """Gradients come out as autocast's would: 16-bit products, then converted."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gradient_buffer: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        *masters: Tensor,
    ) -> Tensor:
        ctx.dtype, ctx.gradient_buffer = x.dtype, gradient_buffer
        x = x.to(weight.dtype)
        ctx.save_for_backward(x, weight)
        ctx.sizes = [master.shape[0] for master in masters[: len(masters) // 2]]
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        # oneDNN prefers the narrower side transposed in memory.
        turned = rows.t().contiguous() if rows.shape[1] < x.shape[-1] else rows.t()
        whole = turned @ x.flatten(0, -2)
        weights: tuple[Tensor | None, ...] = (None,) * len(ctx.sizes)
        if ctx.gradient_buffer is None:
            weights = whole.float().split(ctx.sizes)
        else:
            for total, part in zip(ctx.gradient_buffer.split(ROWS), whole.split(ROWS), strict=True):
                total.add_(part)  # each part is converted on the way, in the cache
        biases = rows.sum(0).float().split(ctx.sizes)
        return (grad @ weight).to(ctx.dtype), None, None, None, *weights, *biases
