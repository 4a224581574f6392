"""Cross entropy over a large vocabulary without a second array of that size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 8  # at once: their float32 copy stays in the cache


def mlm_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropies, and how many labels had the highest logit.

    The gradient is computed in the forward pass, into the memory of the logits, which are garbage
    afterwards. Each row passes through the cache once, in float32 (float64 for float64).

    Args:
        logits: (M, V).
        labels: (M,), in [0, V).

    Returns:
        two scalars; only the first has a gradient.
    """
    total, hits = _WordLoss.apply(logits, labels)
    return total, hits


class _WordLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        exact = torch.float64 if logits.dtype is torch.float64 else torch.float32
        total = torch.zeros((), dtype=exact, device=logits.device)
        hits = torch.zeros((), dtype=torch.int64, device=logits.device)
        size = ROWS if logits.device.type == "cpu" else 1024
        with torch.no_grad():
            for part, label in zip(logits.split(size), labels.split(size), strict=True):
                right = label[:, None]
                values = part.to(exact, copy=True)
                top, best = values.max(1, keepdim=True)
                right_logits = values.gather(1, right)
                hits += (best == right).sum()
                values.sub_(top).exp_()  # at most 1: no logit is too large for it
                mass = values.sum(1, keepdim=True)
                total += (mass.log() + top - right_logits).sum()
                values.div_(mass)
                values.scatter_add_(1, right, -torch.ones_like(right_logits))
                # Softmax minus one-hot, in place of the logits, which nothing needs any more.
                part.copy_(values)
        ctx.mark_non_differentiable(hits)
        ctx.gradient = logits
        return total, hits

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
        gradient: Tensor = ctx.gradient
        return gradient.mul_(grad.to(gradient.dtype)), None
