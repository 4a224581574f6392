"""Attention of a packed batch, over groups of neighbours that have similar lengths.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`; B' and L' are a
group's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plainbert.nn.dropout import dropout as drop

# A group is padded to its longest sequence as long as that adds at most this share of tokens ...
SLACK = 0.2
# ... or while it is so small that one more matrix product would cost more than the padding.
SMALL_GROUP = 256
# A run of equal lengths needs no padding; with at least this many tokens it is a group of its own.
OWN_GROUP = 128
# Matrix products over lengths that are a multiple of this run on full vector registers.
ALIGN = 8
# Padded lengths of training: up to the first number a multiple of the second. For each size of a
# group that it meets, oneDNN compiles six matrix products and keeps half a megabyte for each.
BUCKETS = ((64, 8), (128, 16), (math.inf, 32))
# torch's fused attention is faster for up to so many tokens, being one operation instead of seven,
FEW = 128
# and for sequences of at least this length.
LONG = 128


@dataclass(frozen=True)
class AttentionGroup:
    """Neighbouring sequences that attend in one padded matrix product.

    Attributes:
        start: first token in the packed row.
        stop: one past the last token.
        size: sequences, B'.
        length: padded length L'; every sequence has it when ``slots`` is None.
        slots: (stop - start,), for each token its slot in the padded (B' * L') rows.
        bias: (B', 1, 1, L'), 0 at tokens and -inf at padding.
    """

    start: int
    stop: int
    size: int
    length: int
    slots: Tensor | None
    bias: Tensor | None


def split(
    lengths: list[int], device: torch.device, bucket_lengths: bool = False
) -> list[AttentionGroup]:
    """Cut a batch into groups of neighbours that may be padded to their longest.

    Args:
        lengths: tokens of each sequence of the batch, in order.
        device: where the groups' indices live.
        bucket_lengths: pad to the lengths of ``BUCKETS`` alone; else equal lengths are not padded.
    """
    groups, start = [], 0
    padded, own = (bucket_length, math.inf) if bucket_lengths else (int, OWN_GROUP)
    parts = _neighbours(lengths, padded, own)
    for part in parts:
        groups.append(_group(start, part, device, bucket_lengths))
        start = groups[-1].stop
    return groups


def _neighbours(lengths: list[int], padded: Callable[[int], int], own: float) -> list[list[int]]:
    """Sequences that are padded together; a run of one padded length is never cut.

    Args:
        lengths: tokens of each sequence, in order.
        padded: from the length of a sequence to the one it is padded to.
        own: tokens from which a run of one padded length is a group of its own.
    """
    parts: list[list[int]] = []
    here, longest = list[int](), 0
    for length, run in itertools.groupby(lengths, padded):
        more = list(run)
        # What all of them would take when padded to the longest, and how much of it are tokens.
        total, real = max(longest, length) * (len(here) + len(more)), sum(here) + sum(more)
        alone = sum(more) >= own
        if here and (alone or (total > real * (1 + SLACK) and total > SMALL_GROUP)):
            parts.append(here)
            here, longest = [], 0
        here, longest = here + more, max(longest, length)
        if alone:  # closed at once: one more length would pad the whole run
            parts.append(here)
            here, longest = [], 0
    return [*parts, here] if here else parts


def bucket_length(length: int) -> int:
    """The padded length of a sequence in training."""
    step = next(step for most, step in BUCKETS if length <= most)
    return -(-length // step) * step


def _group(
    start: int, lengths: list[int], device: torch.device, bucket_lengths: bool
) -> AttentionGroup:
    stop, size, longest = start + sum(lengths), len(lengths), max(lengths)
    length = bucket_length(longest) if bucket_lengths else longest
    if min(lengths) == length:
        return AttentionGroup(start, stop, size, length, None, None)
    length = -(-length // ALIGN) * ALIGN
    real = torch.arange(length) < torch.tensor(lengths)[:, None]  # (B', L')
    slots = real.flatten().nonzero()[:, 0]
    bias = torch.zeros(size, 1, 1, length).masked_fill_(~real[:, None, None], -math.inf)
    return AttentionGroup(start, stop, size, length, slots.to(device), bias.to(device))


def attend_group(group: AttentionGroup, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Attention of one group: (tokens of the group, N, H) each -> the same shape."""
    shape = (group.size, group.length)
    if group.slots is not None:
        rows = group.size * group.length
        q, k, v = (_Spread.apply(x, group.slots, rows) for x in (q, k, v))
    q, k, v = (x.unflatten(0, shape).transpose(1, 2) for x in (q, k, v))  # (B', N, L', H)
    if q.device.type == "cpu" and not dropout and not torch.is_grad_enabled():
        mixed = _attend_forward(q, k, v, group.bias)
    else:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  # (B', N, L', L')
        if group.bias is not None:
            scores = scores + group.bias.to(scores.dtype)
        weights = scores.softmax(-1)
        if dropout:
            weights = drop(weights, dropout)
        mixed = weights @ v
    mixed = mixed.transpose(1, 2).flatten(0, 1)  # (B', N, L', H) -> (B' * L', N, H)
    return mixed if group.slots is None else _Collect.apply(mixed, group.slots)


def _attend_forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Attention on a CPU when nobody asks for gradients.

    torch's softmax computes one number at a time where a row is shorter than a vector register,
    and for what is left over of longer rows. Its exponential does not, and needs no maximum as
    long as no row's sum leaves the range of the number format; that is checked.

    Shape:
        - q, k, v, output: (B', N, L', H)
        - bias: (B', 1, 1, L')
    """
    shape = q.shape[:2]
    if shape[0] * q.shape[2] <= FEW or q.shape[2] >= LONG:
        mask = None if bias is None else bias.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    q, k, v = (x.reshape(-1, *x.shape[2:]) for x in (q, k, v))  # (B' * N, L', H)
    zero = q.new_empty(1)
    scores = torch.baddbmm(zero, q, k.transpose(1, 2), beta=0, alpha=q.shape[-1] ** -0.5)
    if bias is not None:
        scores.unflatten(0, shape).add_(bias.to(scores.dtype))
    weights = scores.exp()
    total = weights.sum(-1, keepdim=True)  # (B' * N, L', 1)
    least, most = total.aminmax()
    # The powers are within float32 and bfloat16, not float16.
    if q.dtype != torch.float16 and float(least) > 1e-30 and float(most) < 1e30:
        mixed = torch.bmm(weights, v).div_(total)
    else:
        mixed = torch.bmm(scores.softmax(-1), v)
    return mixed.unflatten(0, shape)


class _Spread(torch.autograd.Function):
    """Copy packed rows to their slots among zeros.

    torch's own indexing adds up gradients row by row; each slot is used once, so a copy will do.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(slots)
        return x.new_zeros(rows, *x.shape[1:]).index_copy_(0, slots, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slots,) = ctx.saved_tensors
        return grad.index_select(0, slots), None, None


class _Collect(torch.autograd.Function):
    """The inverse of :class:`_Spread`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.rows = x.shape[0]
        return x.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slots,) = ctx.saved_tensors
        return grad.new_zeros(ctx.rows, *grad.shape[1:]).index_copy_(0, slots, grad), None
