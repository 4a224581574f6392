"""Results that are infinite or undefined are no results: an error names the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.errors import PlainBertError

NAMED = 5  # rows that a message names
EXCERPT = 40  # characters of a text that it shows


class NotFiniteError(PlainBertError, ArithmeticError):
    """What a model computed is infinite or undefined."""


def numbered(row: int) -> str:
    """How to call a row of which nothing but the number is known; from 1."""
    return f"row {row + 1}"


def check(
    results: NDArray[Any],
    name_of: Callable[[int], str] = numbered,
    rows: Callable[[], NDArray[np.int64]] | None = None,
) -> None:
    """Refuse results that are not finite.

    Args:
        results: vectors or logits; (N, ...), or (S, ...) where they are per token.
        name_of: what the user calls row i.
        rows: gives the row of each result where they are per token; (S,).

    Raises:
        NotFiniteError: the message names the rows.
    """
    # The sum tells that nothing is wrong at a fraction of the work.
    if np.isfinite(results.sum(dtype=np.float64)):
        return
    broken = np.flatnonzero(~np.isfinite(results.reshape(len(results), -1)).all(1))
    refuse(np.unique(broken if rows is None else rows()[broken]).tolist(), name_of)


def refuse(rows: Sequence[int], name_of: Callable[[int], str] = numbered) -> None:
    """Raise an error that names rows whose results are not finite; with no rows, do nothing.

    Args:
        rows: their numbers, ascending.
        name_of: what the user calls row i.

    Raises:
        NotFiniteError: there are rows.
    """
    if not rows:
        return
    listed = ", ".join(map(name_of, rows[:NAMED]))
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    raise NotFiniteError(
        f"what the model computes for {len(rows)} row(s) is infinite or undefined: {listed}{more}. "
        "Numbers overflow early in float16: use --dtype float32 or bfloat16. If they do in "
        "float32 too, the model's training diverged: train it with a lower learning rate."
    )


def named(texts: Sequence[str | tuple[str, ...]]) -> Callable[[int], str]:
    """How to call a row of texts: by its number from 1, and the first words."""

    def name_of(row: int) -> str:
        text = texts[row] if isinstance(texts[row], str) else " ||| ".join(texts[row])
        short = text if len(text) <= EXCERPT else f"{text[:EXCERPT]}..."
        return f"text {row + 1} ({short!r})"

    return name_of
