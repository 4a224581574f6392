"""A few texts to try a model on: some of the user's, or ours where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")

# Of different lengths, some of them pairs. Short enough for models of 32 positions, as tests have.
TEXTS: tuple[tuple[str, ...], ...] = (
    ("The river rose quickly after the storm.",),
    ("Who wrote the letter?", "Her sister wrote it in 1912, but it was never sent."),
    ("A man is playing a guitar.", "Someone plays music."),
    ("Interest rates went up again, and borrowing money has become more expensive.",),
    ("Rain.",),
    ("How far is it?", "Seven miles."),
)


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """So many rows at even distances, as files are often sorted; all of them if there are fewer."""
    count = min(count, len(rows))
    return [rows[number * len(rows) // count] for number in range(count)]
