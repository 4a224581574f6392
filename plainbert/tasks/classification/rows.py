"""Rows to predict on, and what is handed on beside their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PAIR = " ||| "  # between the two texts of a pair, as bert-as-service has it


class InputRow(NamedTuple):
    """A row to predict on.

    Attributes:
        texts: one to three.
        gold: the right label as it stands in the file; None where no column is named.
        others: columns that are handed on, by name.
    """

    texts: tuple[str, ...]
    gold: str | float | None = None
    others: Mapping[str, Any] = {}

    @classmethod
    def of(cls, plain: Sequence[Any]) -> InputRow:
        """What JSON made of one."""
        texts, gold, others = plain
        return cls(tuple(texts), gold, others)
