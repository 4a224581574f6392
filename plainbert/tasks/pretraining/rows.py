"""Instances of pre-training in memory, column by column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class InstanceRows:
    """B instances with S tokens and M masks in all.

    Attributes:
        ids: masked tokens, one instance after the other; (S,).
        offsets: where each instance begins in ``ids``, and the end of the last; (B + 1,).
        types: 0 for the first text with its [CLS] and [SEP], 1 for the second; (S,).
        masked_sequence: which instance a mask belongs to, ascending; (M,).
        masked_positions: its place within that instance; (M,).
        masked_ids: the tokens that were there; (M,).
        next_sentence: 0 where the second text really came next, 1 where it was drawn at random,
            -1 where there is no such question; (B,).
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    types: NDArray[np.uint8]
    masked_sequence: NDArray[np.int64]
    masked_positions: NDArray[np.int64]
    masked_ids: NDArray[np.int64]
    next_sentence: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.next_sentence)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every instance; (B,)."""
        return np.diff(self.offsets)

    @property
    def masked_rows(self) -> NDArray[np.int64]:
        """Positions of the masks in ``ids``; (M,)."""
        return self.offsets[self.masked_sequence] + self.masked_positions
