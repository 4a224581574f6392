"""Tokens and where they lie, for many texts at once, as columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plainbert.text.tokenizer import Tokenizer

TOGETHER = 2000  # characters that the tokenizer sees at a time; its time per character then grows
MOST_RUNS = 1 << 19  # runs between blanks kept in memory; about 150 MB


@dataclass(frozen=True)
class TokenColumns:
    """Tokens of N texts, S in all, end to end; without [CLS] and [SEP].

    Attributes:
        ids: (S,), int32.
        start: first character of each token in its text; (S,), int32.
        end: the character after its last one; (S,), int32.
        offsets: text i has the tokens ``offsets[i]`` to ``offsets[i + 1]``; (N + 1,), int64.
    """

    ids: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[TokenColumns]) -> TokenColumns:
        """Several parts end to end."""
        counts = [np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)]
        empty = [np.zeros(0, np.int32)]
        return cls(
            ids=np.concatenate(empty + [part.ids for part in parts]),
            start=np.concatenate(empty + [part.start for part in parts]),
            end=np.concatenate(empty + [part.end for part in parts]),
            offsets=np.concatenate(counts).cumsum(),
        )


class OffsetTokenizer:
    """Tokenises texts with offsets: what :meth:`Tokenizer.pieces` gives, several times as fast.

    BERT's tokenisation never looks across a blank, so every different run of characters between
    blanks is tokenised once. All that are new in a call go through the tokenizer as one text.

    Args:
        tokenizer: any; one with added tokens that hold blanks does each text by itself.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._forget()

    def _forget(self) -> None:
        self._rows = _Numbered()
        self._sizes = np.zeros(0, np.int64)  # characters of each run
        self._table = TokenColumns.join([])  # tokens of each run, offsets counted from its start

    def __call__(self, texts: Sequence[str]) -> TokenColumns:
        """Tokens of some texts."""
        if self.tokenizer.across_blanks:
            return TokenColumns.join([_columns(self.tokenizer, text) for text in texts])
        if len(self._rows) > MOST_RUNS:
            self._forget()
        known, rows = len(self._rows), self._rows
        runs: list[int] = []
        counts = np.zeros(len(texts) + 1, np.int64)  # runs of the texts up to here
        for number, text in enumerate(texts, start=1):
            runs += [rows[run] for run in text.split(" ")]
            counts[number] = len(runs)
        self._learn(list(rows)[known:])
        return self._gather(np.array(runs, np.int64), counts)

    def _learn(self, new: list[str]) -> None:
        """Put runs into the table, in order."""
        sizes = np.fromiter(map(len, new), np.int64, len(new))
        groups = (sizes + 1).cumsum() // TOGETHER
        cuts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(new)]
        parts = [self._tokens(new[begin:end]) for begin, end in itertools.pairwise(cuts)]
        self._table = TokenColumns.join([self._table, *parts])
        self._sizes = np.concatenate([self._sizes, sizes])

    def _tokens(self, runs: list[str]) -> TokenColumns:
        """Tokens of some runs, which the tokenizer sees as one text."""
        joined = _columns(self.tokenizer, " ".join(runs))
        starts = np.zeros(len(runs), np.int32)  # where each run begins in it
        starts[1:] = np.cumsum([len(run) + 1 for run in runs[:-1]])
        run = np.searchsorted(starts, joined.start, "right") - 1
        offsets = np.searchsorted(run, np.arange(len(runs) + 1))
        base = starts[run]
        return TokenColumns(joined.ids, joined.start - base, joined.end - base, offsets)

    def _gather(self, runs: NDArray[np.int64], counts: NDArray[np.int64]) -> TokenColumns:
        """Tokens of texts, given the rows of their runs."""
        table = self._table
        lengths = self._sizes[runs] + 1
        ends = lengths.cumsum()
        firsts = counts[:-1]  # every text has a run, if an empty one
        begins = np.repeat(ends[firsts] - lengths[firsts], np.diff(counts))  # of each run's text
        base = ends - lengths - begins
        first = table.offsets[runs]
        tokens = table.offsets[runs + 1] - first
        stops = tokens.cumsum()
        indices = np.arange(stops[-1] if len(stops) else 0) + np.repeat(
            first - stops + tokens, tokens
        )
        shift = np.repeat(base, tokens).astype(np.int32)
        offsets = np.concatenate([[0], stops])[counts]
        start, end = table.start[indices] + shift, table.end[indices] + shift
        return TokenColumns(table.ids[indices], start, end, offsets)


class _Numbered(dict[str, int]):
    """Gives each new key the next number."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number


def _columns(tokenizer: Tokenizer, text: str) -> TokenColumns:
    pieces = tokenizer.pieces(text)
    return TokenColumns(
        np.array(pieces.ids, np.int32),
        np.array(pieces.start, np.int32),
        np.array(pieces.end, np.int32),
        np.array([0, len(pieces)], np.int64),
    )
