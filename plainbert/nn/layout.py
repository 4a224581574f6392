"""How a batch lies in memory: the only place that knows about padding.

Letters in shape comments, everywhere in ``plainbert``:
    B  sequences in the batch   T  tokens in the batch   L  tokens of the longest sequence
    D  width of the model       N  attention heads       H  width of one head (D = N * H)
    V  vocabulary               C  classes

A packed batch is one row of T tokens, sequence after sequence, and nothing but attention asks
where one ends. A padded batch is (B, L) with a mask. Linear layers see either.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plainbert.nn.groups import attend_group, split

FAR = 1e30  # subtracted from vectors that must not be a maximum
# On a CPU, hidden states of at most so many tokens get a number of rows that is a multiple of this.
STEPS = ((64, 8), (256, 32), (2048, 64), (4096, 128), (math.inf, 256))


class Layout(ABC):
    """Where each sequence of a batch lies, and how its tokens attend to each other.

    Attributes:
        num_sequences: B.
        pad_rows: rows of no token at the end of the hidden states inside the encoder.
    """

    num_sequences: int
    pad_rows = 0

    @abstractmethod
    def positions(self) -> Tensor:
        """Place of every token in its sequence, from 0; shape of the ids."""

    @abstractmethod
    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        """Scaled dot-product attention within each sequence.

        Args:
            q: queries, (..., N, H), where ... is the shape of the ids; rows beyond the tokens of a
                packed batch mean nothing, here and in the result.
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
    def last(self, hidden: Tensor) -> Tensor:
        """The vector of each sequence's last token, [SEP]: (..., D) -> (B, D)."""

    @abstractmethod
    def reduce(self, hidden: Tensor, how: str) -> Tensor:
        """Sum, mean or maximum over the tokens of each sequence.

        Args:
            hidden: (..., D), or (...)
            how: "sum", "mean" or "max".

        Returns:
            (B, D), or (B,)
        """

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

    @abstractmethod
    def pad(self, packed: Tensor, value: float = 0) -> Tensor:
        """Give each sequence a row of its own, as long as the longest.

        Args:
            packed: (..., *), where ... is the shape of the ids: (T, *) of a packed batch.
            value: what padding gets.

        Returns:
            (B, L, *)
        """

    @abstractmethod
    def unpad(self, padded: Tensor) -> Tensor:
        """The inverse of :meth:`pad`: (B, L, *) -> (..., *), (T, *) of a packed batch."""


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

    def last(self, hidden: Tensor) -> Tensor:
        # A sum with a mask, not an index: every runtime that exports go to has it.
        positions = torch.arange(self.mask.shape[1], device=self.mask.device)
        last = (positions == self.lengths()[:, None] - 1).to(hidden.dtype)  # (B, L)
        return (hidden * last[..., None]).sum(1)

    def reduce(self, hidden: Tensor, how: str) -> Tensor:
        share = self.mask.to(hidden.dtype)[(..., *[None] * (hidden.dim() - 2))]  # (B, L, 1)
        if how == "max":
            return (hidden - (1 - share) * FAR).amax(1)
        total = (hidden * share).sum(1)
        return total if how == "sum" else total / share.sum(1)

    def rows(self, index: Tensor) -> Tensor:
        return index[:, 0] * self.mask.shape[1] + index[:, 1]

    def lengths(self) -> Tensor:
        return self.mask.sum(1)

    def pad(self, packed: Tensor, value: float = 0) -> Tensor:
        padding = ~self.mask[(..., *[None] * (packed.dim() - 2))]  # (B, L, 1 ...)
        return packed.masked_fill(padding, value)

    def unpad(self, padded: Tensor) -> Tensor:
        return padded


class Packed(Layout):
    """Sequences end to end in one row of tokens; attention runs over groups of similar length.

    Sort a batch by length (``batching`` does) so that neighbours share a group.

    oneDNN compiles a matrix product anew for every number of rows it meets, and keeps what it
    compiled; either costs much more than a few rows that mean nothing. So on a CPU the encoder's
    hidden states are padded to few different numbers of rows, see ``STEPS``.

    Args:
        lengths: tokens of each sequence, each at least 1.
        device: where the indices live.
        bucket_lengths: give groups few different sizes, for training: each is compiled, too. Else a
            long run of equal lengths attends by itself, without padding.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device | str = "cpu",
        bucket_lengths: bool = False,
    ) -> None:
        self.num_sequences = len(lengths)
        self.device = torch.device(device)
        self.longest = max(lengths)
        self._lengths = torch.tensor(lengths)
        ends = self._lengths.cumsum(0)
        self.num_tokens = int(ends[-1])
        self.starts = (ends - self._lengths).to(device)  # (B,)
        self._groups = split(list(lengths), self.device, bucket_lengths)
        if self.device.type == "cpu":
            step = next(step for most, step in STEPS if self.num_tokens <= most)
            self.pad_rows = -self.num_tokens % step

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        device: torch.device | str = "cpu",
        bucket_lengths: bool = False,
    ) -> Packed:
        """The fastest packed layout that this device has."""
        return (Varlen if torch.device(device).type == "cuda" else Packed)(
            lengths, device, bucket_lengths
        )

    def positions(self) -> Tensor:
        every = torch.arange(self.num_tokens, device=self.device)
        counts = self._lengths.to(self.device)
        return every - self.starts.repeat_interleave(counts, output_size=self.num_tokens)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        pad_rows = q.shape[0] - self.num_tokens
        if pad_rows:
            q, k, v = (part[: self.num_tokens] for part in (q, k, v))
        mixed = self._attend(q, k, v, dropout)
        return F.pad(mixed, (0, 0, 0, 0, 0, pad_rows)) if pad_rows else mixed

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        if len(self._groups) == 1:
            return attend_group(self._groups[0], q, k, v, dropout)
        # Split at once: slices would each send back a gradient as long as the whole batch.
        sizes = [group.stop - group.start for group in self._groups]
        parts = zip(self._groups, q.split(sizes), k.split(sizes), v.split(sizes), strict=True)
        return torch.cat([attend_group(*part, dropout) for part in parts])

    def first(self, hidden: Tensor) -> Tensor:
        return hidden[self.starts]

    def last(self, hidden: Tensor) -> Tensor:
        return hidden[self.starts + self.lengths() - 1]

    def reduce(self, hidden: Tensor, how: str) -> Tensor:
        return torch.segment_reduce(hidden, how, lengths=self.lengths())

    def rows(self, index: Tensor) -> Tensor:
        return self.starts[index[:, 0]] + index[:, 1]

    def lengths(self) -> Tensor:
        return self._lengths.to(self.device)

    def pad(self, packed: Tensor, value: float = 0) -> Tensor:
        rows = packed.new_full((self.num_sequences * self.longest, *packed.shape[1:]), value)
        rows = rows.index_copy(0, self._padded_rows(), packed)
        return rows.unflatten(0, (self.num_sequences, self.longest))  # (B * L, *) -> (B, L, *)

    def unpad(self, padded: Tensor) -> Tensor:
        return padded.flatten(0, 1)[self._padded_rows()]  # (B, L, *) -> (T, *)

    def _padded_rows(self) -> Tensor:
        """The row of every token in a padded batch's (B * L) rows; (T,)."""
        sequences = torch.arange(self.num_sequences, device=self.device)
        sequences = sequences.repeat_interleave(self.lengths(), output_size=self.num_tokens)
        return sequences * self.longest + self.positions()


class Varlen(Packed):
    """A packed batch on CUDA: flash attention over the sequence boundaries.

    That kernel takes 16-bit types and no dropout; other calls go through the length groups.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device | str = "cuda",
        bucket_lengths: bool = False,
    ) -> None:
        super().__init__(lengths, device, bucket_lengths)
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
