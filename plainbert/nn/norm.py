"""Sum of a sublayer's input and output, normalised: the step between any two sublayers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from plainbert.nn.dropout import dropout, mask


def add_norm(x: Tensor, before: Tensor, norm: nn.LayerNorm, p: float) -> Tensor:
    """``norm(before + dropout(x))``.

    Args:
        x: a sublayer's output; (..., D). Training in 16 bits, it is 16-bit.
        before: the sublayer's input; (..., D).
        norm: the layer norm.
        p: probability of dropping an element of ``x``; 0 outside training.

    Returns:
        (..., D), in the type of ``before``.

    Source:
        Vaswani et al. 2017, section 3.1 (arXiv:1706.03762).
    """
    if p == 0 or x.device.type != "cpu":
        return norm(before + dropout(x, p))
    normed: Tensor = _AddNorm.apply(x, before, norm.weight, norm.bias, norm.eps, p)
    return normed


class _AddNorm(torch.autograd.Function):
    """One pass each for sum and dropout; autograd's own graph would keep three more copies."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, before: Tensor, weight: Tensor, bias: Tensor, eps: float, p: float
    ) -> Tensor:
        ctx.dtype, ctx.scale = x.dtype, 1 / (1 - p)
        keep = mask(before, p)
        total = torch.addcmul(before, x.to(before.dtype), keep, value=ctx.scale)
        normed, mean, rstd = torch.native_layer_norm(total, weight.shape, weight, bias, eps)
        # The mask is 0 or 1: 16 bits hold it exactly.
        ctx.save_for_backward(total, keep.to(x.dtype), weight, bias, mean, rstd)
        return normed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        total, keep, weight, bias, mean, rstd = ctx.saved_tensors
        inner, to_weight, to_bias = torch.ops.aten.native_layer_norm_backward(
            grad, total, weight.shape, mean, rstd, weight, bias, [True, True, True]
        )
        to_x = torch.mul(inner.to(ctx.dtype), keep).mul_(ctx.scale)
        return to_x, inner, to_weight, to_bias, None, None
