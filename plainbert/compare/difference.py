"""How far two arrays are apart, gathered batch by batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """The difference of one output.

    Attributes:
        name: of the output.
        values: numbers compared.
        mean: of the absolute differences.
        max: largest absolute difference; NaN where an output is not finite.
        std: standard deviation of the (signed) differences.
        largest: largest absolute value of the first model's output, to judge the others by.
    """

    name: str
    values: int
    mean: float
    max: float
    std: float
    largest: float

    def within(self, tolerance: float) -> bool:
        """Whether no difference is above the tolerance; NaN is."""
        return self.max <= tolerance


class Spread:
    """Gathers the difference of one output over batches.

    Source:
        Chan, Golub, LeVeque 1979, for merging the sums of squares.
    """

    def __init__(self) -> None:
        self.values = 0
        self.center = 0.0  # mean of the signed differences
        self.squares = 0.0  # sum of their squared distances from it
        self.total = 0.0  # sum of the absolute differences
        self.max = 0.0
        self.largest = 0.0

    def add(self, one: NDArray[Any], two: NDArray[Any]) -> None:
        """Take in one batch's arrays, which have the same shape."""
        assert one.shape == two.shape, (one.shape, two.shape)
        if not one.size:
            return
        # Infinite numbers minus each other are no number, which is what is wanted.
        with np.errstate(invalid="ignore"):
            self._add(one.astype(np.float64) - two.astype(np.float64))
        self.largest = float(np.maximum(self.largest, np.abs(one).max()))

    def _add(self, off: NDArray[np.float64]) -> None:
        center, count = float(off.mean()), off.size
        apart = center - self.center
        share = count / (self.values + count)
        self.squares += float(np.square(off - center).sum()) + apart**2 * self.values * share
        self.center += apart * share
        self.values += count
        size = np.abs(off)
        self.total += float(size.sum())
        self.max = float(np.maximum(self.max, size.max()))  # keeps NaN, which max() may lose

    def row(self, name: str) -> Row:
        """What was gathered."""
        count = max(self.values, 1)
        return Row(
            name,
            self.values,
            self.total / count,
            self.max,
            math.sqrt(self.squares / count),
            self.largest,
        )
