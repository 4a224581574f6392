"""How a batch lies in memory: the only place that knows about padding.

Letters in shape comments, everywhere in ``plainbert``:
    B  sequences in the batch   T  tokens in the batch   L  tokens of the longest sequence
    D  width of the model       N  attention heads       H  width of one head (D = N * H)
    V  vocabulary               C  classes

A packed batch is one row of T tokens, sequence after sequence, and nothing but attention asks
where one ends. A padded batch is (B, L) with a mask. Linear layers see either.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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


class Layout(ABC):
    """Where each sequence of a batch lies, and how its tokens attend to each other."""

    num_sequences: int

    @abstractmethod
    def positions(self) -> Tensor:
        """Place of every token in its sequence, from 0; shape of the ids."""

    @abstractmethod
    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        """Scaled dot-product attention within each sequence.

        Args:
            q: queries, (..., N, H), where ... is the shape of the ids.
            k: keys, same shape.
            v: values, same shape.
            dropout: probability of dropping one attention weight, in [0, 1).

        Returns:
            (..., N, H). A padded key weighs exactly 0.

        Source:
            Vaswani et al. 2017, eq. 1 (arXiv:1706.03762).
        """

    @abstractmethod
    def first(self, hidden: Tensor) -> Tensor:
        """The vector of each sequence's first token, [CLS]: (..., D) -> (B, D)."""

    @abstractmethod
    def rows(self, index: Tensor) -> Tensor:
        """Rows of single tokens in ``hidden.flatten(0, -2)``.

        Args:
            index: (M, 2), each row a sequence and a position in it.

        Returns:
            (M,)
        """

    @abstractmethod
    def lengths(self) -> Tensor:
        """Tokens of each sequence; (B,)."""


class Padded(Layout):
    """Sequences as rows of a (B, L) batch, for export and for callers who pad.

    Args:
        mask: (B, L); true (or non-zero) where there is a token.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask.bool()
        self.num_sequences = mask.shape[0]

    def positions(self) -> Tensor:
        return torch.arange(self.mask.shape[1], device=self.mask.device)[None]  # (1, L)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # (B, L, N, H) -> (B, N, L, H)
        mask = self.mask[:, None, None]  # (B, 1, 1, L)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return mixed.transpose(1, 2)  # (B, N, L, H) -> (B, L, N, H)

    def first(self, hidden: Tensor) -> Tensor:
        return hidden[:, 0]

    def rows(self, index: Tensor) -> Tensor:
        return index[:, 0] * self.mask.shape[1] + index[:, 1]

    def lengths(self) -> Tensor:
        return self.mask.sum(1)


@dataclass(frozen=True)
class Group:
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


class Packed(Layout):
    """Sequences end to end in one row of tokens; attention runs over groups of similar length.

    Sort a batch by length (``batching`` does) so that neighbours share a group.

    Args:
        lengths: tokens of each sequence, each at least 1.
        device: where the indices live.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.num_sequences = len(lengths)
        self.device = torch.device(device)
        self.longest = max(lengths)
        self._lengths = torch.tensor(lengths)
        ends = self._lengths.cumsum(0)
        self.num_tokens = int(ends[-1])
        self.starts = (ends - self._lengths).to(device)  # (B,)
        self._groups = [self._group(*part) for part in _split(list(lengths))]

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device | str = "cpu") -> Packed:
        """The fastest packed layout that this device has."""
        return (Varlen if torch.device(device).type == "cuda" else Packed)(lengths, device)

    def _group(self, start: int, lengths: list[int]) -> Group:
        stop, size, longest = start + sum(lengths), len(lengths), max(lengths)
        if min(lengths) == longest:
            return Group(start, stop, size, longest, None, None)
        length = -(-longest // ALIGN) * ALIGN
        real = torch.arange(length) < torch.tensor(lengths)[:, None]  # (B', L')
        slots = real.flatten().nonzero()[:, 0]
        bias = torch.zeros(size, 1, 1, length).masked_fill_(~real[:, None, None], -math.inf)
        return Group(start, stop, size, length, slots.to(self.device), bias.to(self.device))

    def positions(self) -> Tensor:
        every = torch.arange(self.num_tokens, device=self.device)
        counts = self._lengths.to(self.device)
        return every - self.starts.repeat_interleave(counts, output_size=self.num_tokens)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        if len(self._groups) == 1:
            return _attend_group(self._groups[0], q, k, v, dropout)
        # Split at once: slices would each send back a gradient as long as the whole batch.
        sizes = [group.stop - group.start for group in self._groups]
        parts = zip(self._groups, q.split(sizes), k.split(sizes), v.split(sizes), strict=True)
        return torch.cat([_attend_group(*part, dropout) for part in parts])

    def first(self, hidden: Tensor) -> Tensor:
        return hidden[self.starts]

    def rows(self, index: Tensor) -> Tensor:
        return self.starts[index[:, 0]] + index[:, 1]

    def lengths(self) -> Tensor:
        return self._lengths.to(self.device)


class Filled(Packed):
    """A packed batch with rows of no sequence at the end.

    oneDNN compiles a matrix product anew for every number of rows it meets, and on some processors
    that takes as long as ten products. Filled up, batches have few different numbers of rows.

    Args:
        lengths: tokens of each sequence, each at least 1.
        rows: rows of ids and hidden states, at least the tokens. The last ones mean nothing.
        device: where the indices live.
    """

    def __init__(
        self, lengths: Sequence[int], rows: int, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(lengths, device)
        self.fill = rows - self.num_tokens

    def positions(self) -> Tensor:
        return F.pad(super().positions(), (0, self.fill))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        parts = (part[: self.num_tokens] for part in (q, k, v))
        return F.pad(super().attend(*parts, dropout), (0, 0, 0, 0, 0, self.fill))


class Varlen(Packed):
    """A packed batch on CUDA: flash attention over the sequence boundaries.

    That kernel takes 16-bit types and no dropout; other calls go through the length groups.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cuda") -> None:
        super().__init__(lengths, device)
        self.bounds = F.pad(self.starts, (0, 1), value=self.num_tokens).int()  # (B + 1,)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        kernel = _varlen_kernel()
        if dropout or q.element_size() != 2 or kernel is None:
            return super().attend(q, k, v, dropout)
        bounds, longest = self.bounds, self.longest
        mixed: Tensor = kernel(q, k, v, bounds, bounds, longest, longest)
        return mixed


def _varlen_kernel() -> Callable[..., Any] | None:
    """Return torch's varlen attention, where this torch has one (2.11 and later)."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    kernel: Callable[..., Any] = varlen_attn
    return kernel


def _split(lengths: list[int]) -> list[tuple[int, list[int]]]:
    """Cut a batch into neighbours that may be padded to their longest: (first token, lengths)."""
    parts: list[tuple[int, list[int]]] = []
    start, here = 0, list[int]()
    for length, run in itertools.groupby(lengths):
        more = list(run)
        padded = max(*here, length) * (len(here) + len(more)) if here else 0
        real = sum(here) + sum(more)
        alone = sum(more) >= OWN_GROUP
        if here and (alone or (padded > real * (1 + SLACK) and padded > SMALL_GROUP)):
            parts.append((start, here))
            start, here = start + sum(here), []
        here += more
        if alone:
            parts.append((start, here))
            start, here = start + sum(here), []
    if here:
        parts.append((start, here))
    return parts


def _attend_group(group: Group, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
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
