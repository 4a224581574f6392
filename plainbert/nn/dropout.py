"""Dropout. On CPUs torch draws its mask number by number, which costs more than a layer's norm.

Here 16 random bits decide about each element, four from one 64-bit draw of torch's generator: the
probability is right to 1/131072, the scale exact, and the mask already has the type it multiplies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 1 << 16


def mask(like: Tensor, p: float) -> Tensor:
    """1 with probability ``1 - p``, else 0; shape, type and device of ``like``."""
    if like.device.type != "cpu":
        return torch.empty_like(like).bernoulli_(1 - p)
    count = like.numel()
    # From the smallest number: by default the sign bit would always be 0.
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    bits = words.view(torch.int16)[:count].view(like.shape)
    # Signed: of the numbers from -LEVELS / 2 on, those below this, a share p, drop their element.
    drop = round(p * LEVELS) - LEVELS // 2
    if drop == LEVELS // 2:  # does not fit 16 bits, and means p = 1
        return torch.zeros_like(like, memory_format=torch.contiguous_format)
    return torch.ge(bits, drop, out=torch.empty(like.shape, dtype=like.dtype))


def dropout(x: Tensor, p: float) -> Tensor:
    """Set elements to 0 with probability ``p`` in [0, 1), scale the others by 1 / (1 - p).

    Source:
        Srivastava et al. 2014 (JMLR 15), in the inverted form everyone uses.
    """
    if p == 0:
        return x  # draws nothing, so that a model without dropout leaves the generator alone
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped: Tensor = _Dropout.apply(x, p)
    return dropped


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        keep = mask(x, p)
        ctx.save_for_backward(keep)
        ctx.scale = 1 / (1 - p)
        return torch.mul(x, keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return torch.mul(grad, keep).mul_(ctx.scale), None
