"""Questions and their texts as windows: ``[CLS] question [SEP] part of the context [SEP]``.

Every different context is tokenised once, however many questions it has. All columns are numpy
arrays: no object per window or token.

Letters: Q questions, N windows, S tokens of all windows, P tokens of all different contexts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plainbert import arguments, ragged
from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.processes import WorkerProcesses
from plainbert.progress import Progress
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.labels import answer_tokens, window_labels
from plainbert.tasks.squad.sliding import slide
from plainbert.text.offsets import OffsetTokenizer, TokenColumns
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

CHUNK = 500  # texts that a worker takes at a time
WORTH_WORKERS = 20_000_000  # characters that take longer than processes need to start

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Questions as windows of at most so many tokens.

    Attributes:
        features: N rows. Their labels, (N, 2), are the positions of the answer's first and last
            token in the window, (0, 0) where it is not wholly inside, IGNORE where its characters
            became no token; None when not asked for.
            ``cut`` counts the questions that lost tokens.
        question: row of each window's question; (N,), never falling.
        first: place in the window of its first context token; (N,).
        first_row: row of that token in ``start`` and ``end``; (N,).
        max_context: range of positions in the window, of the context tokens that no other window of
            the question shows with more context around; (N, 2).
        start: first character of each token of the contexts; (P,).
        end: the character after its last one; (P,).
        unreached: questions whose answer's characters became no token.
    """

    features: Features
    question: Ints
    first: Ints
    first_row: Ints
    max_context: Ints
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    unreached: int = 0

    def __len__(self) -> int:
        return len(self.features)

    def report(self, name: str) -> None:
        """Log how many windows there are, and what was lost.

        Args:
            name: of the questions.
        """
        features = self.features
        log.info(
            "%s: %d windows of %.1f tokens on average", name, len(self), features.lengths.mean()
        )
        if features.cut:
            log.warning(
                "%s: the questions of %d rows were longer than max_query_length and were cut.",
                name,
                features.cut,
            )
        if self.unreached:
            log.warning(
                "%s: %d rows are not trained on: the characters of their answer became no token.",
                name,
                self.unreached,
            )


@dataclass(frozen=True)
class Limits:
    """How windows are cut.

    Attributes:
        max_len: tokens of a window at most, [CLS] and [SEP] counted.
        doc_stride: context tokens from one window's first to the next one's.
        max_query_length: tokens of a question; the rest is cut.
    """

    max_len: int = 384
    doc_stride: int = 128
    max_query_length: int = 64

    def __post_init__(self) -> None:
        for name in ("max_len", "doc_stride", "max_query_length"):
            arguments.whole(name, getattr(self, name))
        if self.max_len <= self.max_query_length + 3:
            raise UsageError(
                f"max_len={self.max_len} leaves no room for the text beside a question of "
                f"{self.max_query_length} tokens and 3 special ones: at least "
                f"{self.max_query_length + 4} is expected, or a lower max_query_length."
            )


def prepare(
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    limits: Limits | None = None,
    *,
    labelled: bool = False,
    num_workers: int = 0,
    bar: bool = False,
) -> Windows:
    """Cut questions into windows that slide over their contexts.

    Args:
        tokenizer: its vocabulary names the special tokens.
        questions: at least one.
        limits: how windows are cut; the published settings when not given.
        labelled: point at the answers, for training.
        num_workers: processes; 0 and 1 tokenise in this one, as do few texts whatever the number.
        bar: show progress, on a terminal.

    Returns:
        the same windows for any number of workers.

    Raises:
        CheckpointError: the vocabulary has no [CLS] or [SEP].

    Source:
        google-research/bert, run_squad.py, ``convert_examples_to_features``.
    """
    limits = limits or Limits()
    rows: dict[str, int] = {}  # of each different context
    context = np.array(
        [rows.setdefault(question.context, len(rows)) for question in questions], np.int64
    )
    queries = [question.question for question in questions]
    texts, contexts = _tokens(tokenizer, list(rows), queries, num_workers, bar)
    query_offsets = texts.offsets[len(rows) :]
    full_sizes = np.diff(query_offsets)
    query_sizes = np.minimum(full_sizes, limits.max_query_length)
    tokens = np.diff(texts.offsets[: len(rows) + 1])[context]  # of each question's context
    # [CLS] and two [SEP] take 3 tokens; the question is never cut again to make room.
    slid = slide(tokens, limits.max_len - 3 - query_sizes, limits.doc_stride)
    question = slid.row
    first = query_sizes[question] + 2  # after [CLS], the question and [SEP]
    first_row = texts.offsets[context][question] + slid.begin
    ids, offsets, types = _assemble(
        tokenizer,
        texts.ids,
        starts=(query_offsets[:-1][question], first_row),
        sizes=(query_sizes[question], slid.size),
    )
    labels, unreached = None, 0
    if labelled:
        spans = answer_tokens(questions, context, contexts, list(rows))
        unreached = int((spans[:, 0] > spans[:, 1]).sum())
        labels = window_labels(spans[question], slid.begin, slid.size, first)
    return Windows(
        Features(ids, offsets, types, labels, cut=int((full_sizes > query_sizes).sum())),
        question=question,
        first=first,
        first_row=first_row,
        max_context=slid.max_context + first[:, None],
        start=contexts.start,
        end=contexts.end,
        unreached=unreached,
    )


def _tokens(
    tokenizer: Tokenizer, contexts: list[str], queries: list[str], num_workers: int, bar: bool
) -> tuple[TokenColumns, TokenColumns]:
    """Tokens of the contexts and then the questions, and those of the contexts alone."""
    texts = contexts + queries
    if sum(map(len, texts)) < WORTH_WORKERS:
        num_workers = 0
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    parts, offsets_of = [], OffsetTokenizer(tokenizer)
    with (
        Progress("tokenise", "texts", len(texts), bar=bar) as meter,
        WorkerProcesses(num_workers, offsets_of) as workers,
    ):
        for part in workers.in_order(OffsetTokenizer.__call__, offsets_of, chunks):
            parts.append(part)
            meter.update(len(part.offsets) - 1)
    joined = TokenColumns.join(parts)
    stop = joined.offsets[len(contexts)]
    # Copies, so that the windows do not keep the columns of the questions alive.
    alone = TokenColumns(
        joined.ids[:stop],
        joined.start[:stop].copy(),
        joined.end[:stop].copy(),
        joined.offsets[: len(contexts) + 1],
    )
    return joined, alone


def _assemble(
    tokenizer: Tokenizer,
    ids: NDArray[np.int32],
    starts: tuple[Ints, Ints],
    sizes: tuple[Ints, Ints],
) -> tuple[NDArray[np.int32], Ints, NDArray[np.uint8]]:
    """Ids, offsets and types of windows.

    Args:
        tokenizer: its vocabulary names the special tokens.
        ids: tokens of all texts, end to end.
        starts: row in ``ids`` of each window's first question token, and first context token; (N,).
        sizes: tokens of each window's question, and of its part of the context; (N,).
    """
    count = len(starts[0])
    # The special tokens lie behind the texts', so that one look-up gathers whole windows.
    pool = np.append(ids, [tokenizer.vocab.cls_id, tokenizer.vocab.sep_id]).astype(np.int32)
    one = np.ones(count, np.int64)
    cls, sep = one * len(ids), one * (len(ids) + 1)
    part_starts = np.stack([cls, starts[0], sep, starts[1], sep], 1).ravel()
    part_sizes = np.stack([one, sizes[0], one, sizes[1], one], 1).ravel()
    types = np.repeat(np.tile(np.array([0, 0, 0, 1, 1], np.uint8), count), part_sizes)
    offsets = ragged.offsets(part_sizes)[::5].copy()  # each window has five parts
    return pool[ragged.ranges(part_starts, part_sizes)], offsets, types
