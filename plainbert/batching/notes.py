"""What is to be said of texts that were tokenised: how many were cut, how many are empty."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass
class TextNotes:
    """Counts over any number of calls.

    Attributes:
        rows: texts or pairs, in all.
        cut: those of them that lost tokens to the length limit.
        empty: those of them in which a text holds nothing but blanks.
        first: number of the first empty one, from 1; 0 where there is none.
        pairs: rows of more than one text.
    """

    rows: int = 0
    cut: int = 0
    empty: int = 0
    first: int = 0
    pairs: int = 0

    def add(self, rows: Sequence[tuple[str, ...]], cut: int) -> None:
        """Count what was tokenised.

        Args:
            rows: one or more texts each.
            cut: rows of them that were cut.
        """
        empty = [number for number, row in enumerate(rows, 1) if not all(map(str.strip, row))]
        if empty and not self.first:
            self.first = self.rows + empty[0]
        self.rows += len(rows)
        self.cut += cut
        self.empty += len(empty)
        self.pairs += sum(len(row) > 1 for row in rows)

    def report(self, limit: int) -> None:
        """Say what there is to say.

        Args:
            limit: tokens of a row at most.
        """
        if self.cut:
            log.warning(
                "%d of %d rows were longer than %d tokens and were cut (%.2g %%); --max_len sets "
                "the limit.",
                self.cut,
                self.rows,
                limit,
                100 * self.cut / self.rows,
            )
        if self.empty:
            log.warning(
                "%d of %d rows have an empty text, the first is number %d; they are taken as they "
                "are.",
                self.empty,
                self.rows,
                self.first,
            )

    def report_kind(self, texts: int | None, name: str) -> None:
        """Say whether rows are pairs where the model knows single texts, or the other way round.

        Args:
            texts: of a row in training; None where nobody knows.
            name: what the message calls the model.
        """
        if texts is None or not self.rows:
            return
        if texts == 1 and self.pairs:
            log.warning(
                "%s was trained on single texts, and %d of %d rows are pairs: it has never seen "
                "such rows.",
                name,
                self.pairs,
                self.rows,
            )
        elif texts > 1 and self.pairs < self.rows:
            log.warning(
                "%s was trained on pairs, and %d of %d rows are single texts: it has never seen "
                "such rows.",
                name,
                self.rows - self.pairs,
                self.rows,
            )
