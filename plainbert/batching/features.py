"""Texts to token ids, as columns.

The ids of all rows lie end to end in one array: a data set of a million rows is three arrays
instead of millions of objects, and passes between processes as bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import arguments, ragged
from plainbert.batching.notes import TextNotes
from plainbert.batching.truncation import truncate
from plainbert.errors import UsageError
from plainbert.processes import WorkerProcesses
from plainbert.progress import Progress
from plainbert.text.tokenizer import Tokenizer

Rows = Sequence[tuple[str, ...]]

CHUNK = 1000  # rows that a worker takes at a time
# Starting a worker takes about as long as tokenising so many rows.
WORTH_WORKERS = 30_000


@dataclass(frozen=True)
class Features:
    """A tokenised data set of N rows and S tokens.

    Attributes:
        ids: tokens of all rows, end to end; (S,), int32.
        offsets: row i is ``ids[offsets[i]:offsets[i + 1]]``; (N + 1,), int64.
        types: segment of each token, 0 for the first text, 1 for the others; (S,), uint8.
        labels: class ids (int64) or numbers (float32), one or more per row; (N,) or (N, ...), or
            None.
        cut: number of rows that lost tokens to the length limit.
        per_token: the labels are one for each token instead; (S,).
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    types: NDArray[np.uint8]
    labels: NDArray[Any] | None = None
    cut: int = 0
    per_token: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row; (N,)."""
        return np.diff(self.offsets)

    def token_indices(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the tokens of some rows lie, end to end: (B,) -> (T,)."""
        return ragged.ranges(self.offsets[index], self.lengths[index])

    def take(self, index: NDArray[np.int64]) -> Features:
        """Some rows, in the order of ``index``."""
        indices = self.token_indices(index)
        labels = self.labels
        if labels is not None:
            labels = labels[indices if self.per_token else index]
        offsets = ragged.offsets(self.lengths[index])
        return replace(
            self, ids=self.ids[indices], offsets=offsets, types=self.types[indices], labels=labels
        )

    def fingerprint(self) -> str:
        """A hash of tokens, lengths and labels: equal for equal data sets only."""
        digest = hashlib.sha256()
        for array in (self.ids, self.offsets, self.types, self.labels):
            if array is not None:
                values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                digest.update(f"{values.dtype.str} {values.shape} ".encode())
                digest.update(values.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()[:16]

    def row(self, index: int) -> list[int]:
        """Ids of one row."""
        part: list[int] = self.ids[self.offsets[index] : self.offsets[index + 1]].tolist()
        return part


def featurize(
    tokenizer: Tokenizer,
    texts: Sequence[tuple[str, ...]],
    max_len: int,
    labels: Sequence[int] | Sequence[float] | NDArray[Any] | None = None,
    num_workers: int = 0,
    bar: bool = False,
) -> Features:
    """Tokenise rows of texts: ``[CLS] first [SEP] second [SEP]``.

    Args:
        tokenizer: its vocabulary names the special tokens.
        texts: one to three texts per row.
        max_len: tokens per row at most, special ones included. Longer rows lose tokens at the end
            of their longest text, one at a time.
        labels: one per row: whole numbers are class ids.
        num_workers: processes; 0 and 1 tokenise in this one, as do few rows whatever the number.
        bar: show progress, on a terminal.

    Returns:
        the same features for any number of workers.

    Raises:
        UsageError: ``max_len`` has no room for the special tokens and one of each text, or the
            labels are not as many as the rows.
        CheckpointError: the vocabulary has no [CLS] or [SEP].

    Source:
        GluonNLP v0.7 scripts/bert/dataset.py, BERTTransform and its ``_truncate_seq_pair``.
    """
    most = max((len(row) for row in texts), default=1)
    if max_len < 2 * most + 1:
        raise UsageError(
            f"max_len={max_len} is too short: {most} text(s) and their special tokens need at "
            f"least {2 * most + 1} tokens."
        )
    if labels is not None and len(labels) != len(texts):
        raise UsageError(f"{len(labels)} labels for {len(texts)} rows; one each is expected.")
    specials = (tokenizer.vocab.cls_id, tokenizer.vocab.sep_id)
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    parts: list[Chunk] = []
    settings = (tokenizer, max_len, specials)
    with (
        Progress("tokenise", "rows", len(texts), bar=bar) as meter,
        WorkerProcesses(num_workers if len(texts) >= WORTH_WORKERS else 0, settings) as workers,
    ):
        for part in workers.in_order(_encode, settings, chunks):
            parts.append(part)
            meter.update(len(part.lengths))
    lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
    return Features(
        ids=np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)]),
        offsets=lengths.cumsum(),
        types=np.concatenate([np.zeros(0, np.uint8), *(part.types for part in parts)]),
        labels=None if labels is None else _label_column(labels),
        cut=sum(part.cut for part in parts),
    )


@dataclass(frozen=True)
class Chunk:
    """Features of some rows, with lengths in place of offsets."""

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    cut: int


def encode_chunk(
    tokenizer: Tokenizer,
    rows: Sequence[tuple[str, ...]],
    max_len: int,
    specials: tuple[int, int],
) -> Chunk:
    """Tokenise some rows; see :func:`featurize`."""
    cls, sep = specials
    pieces = iter(tokenizer.ids_many([text for row in rows for text in row]))
    ids: list[int] = []
    firsts: list[int] = []  # tokens of type 0 in each row
    lengths: list[int] = []
    cut = 0
    for row in rows:
        parts = [next(pieces) for _ in row]
        total = sum(map(len, parts)) + len(parts) + 1
        if total > max_len:
            cut += 1
            keep = truncate([len(part) for part in parts], max_len - len(parts) - 1)
            parts = [part[:length] for part, length in zip(parts, keep, strict=True)]
            total = max_len
        ids.append(cls)
        for part in parts:
            ids += part
            ids.append(sep)
        firsts.append(len(parts[0]) + 2)
        lengths.append(total)
    sizes = np.array(lengths, dtype=np.int64)
    types = ragged.within(sizes) >= np.repeat(np.array(firsts, dtype=np.int64), sizes)
    return Chunk(np.array(ids, dtype=np.int32), types.astype(np.uint8), sizes, cut)


def _label_column(labels: Sequence[int] | Sequence[float] | NDArray[Any]) -> NDArray[Any]:
    column = np.asarray(labels)
    if isinstance(labels, np.ndarray):
        return column
    return column.astype(np.int64 if column.dtype.kind in "iub" else np.float32)


def _encode(settings: tuple[Tokenizer, int, tuple[int, int]], rows: Rows) -> Chunk:
    """:func:`encode_chunk` for :class:`~plainbert.processes.WorkerProcesses`."""
    tokenizer, max_len, specials = settings
    return encode_chunk(tokenizer, rows, max_len, specials)


def check_positions(max_len: int, positions: int) -> None:
    """Refuse rows that have no length, or are longer than what a model has positions for.

    Args:
        max_len: tokens per row at most.
        positions: tokens that the model can take at most.

    Raises:
        UsageError: ``max_len`` is no number from 1 to ``positions``.
    """
    if arguments.whole("max_len", max_len) > positions:
        raise UsageError(
            f"max_len={max_len}: this model has {positions} positions; give at most that."
        )


def tokenized(
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    max_len: int | None,
    positions: int,
    num_workers: int = 0,
    bar: bool = False,
    notes: TextNotes | None = None,
) -> Features:
    """Texts as ids; a warning says how many were cut, and how many are empty.

    Args:
        tokenizer: the one that the model was trained with.
        texts: texts, or pairs.
        max_len: tokens kept per text, counting [CLS] and [SEP]; ``positions`` when None.
        positions: tokens that the model can take at most.
        num_workers: processes that tokenise; 0 does it in this one.
        bar: show progress.
        notes: counts what the warning would say, for a caller that says it of many calls at once.

    Raises:
        UsageError: ``max_len`` is more than ``positions``.
    """
    limit = positions if max_len is None else max_len
    check_positions(limit, positions)
    rows = [(text,) if isinstance(text, str) else tuple(text) for text in texts]
    features = featurize(tokenizer, rows, limit, num_workers=num_workers, bar=bar)
    counts = TextNotes() if notes is None else notes
    counts.add(rows, features.cut)
    if notes is None:
        counts.report(limit)
    return features
