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
from tqdm import tqdm

from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.nn.names import IGNORE
from plainbert.processes import Workers
from plainbert.tasks.squad.data import Question
from plainbert.text.places import Columns, Places
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

CHUNK = 500  # texts that a worker takes at a time
WORTH_WORKERS = 20_000_000  # characters that take longer than processes need to start

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Questions as windows of at most so many tokens.

    Attributes:
        features: N rows. Their labels, (N, 2), are the places of the answer's first and last
            token in the window, (0, 0) where it is not wholly inside, IGNORE where its characters
            became no token; None when not asked for.
            ``cut`` counts the questions that lost tokens.
        question: row of each window's question; (N,), never falling.
        first: place in the window of its first context token; (N,).
        piece: row of that token in ``start`` and ``end``; (N,).
        kept: places in the window, from and to, of the context tokens that no other window of
            the question shows with more context around; (N, 2).
        start: first character of each token of the contexts; (P,).
        end: the character after its last one; (P,).
        unreached: questions whose answer's characters became no token.
    """

    features: Features
    question: Ints
    first: Ints
    piece: Ints
    kept: Ints
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
                "%s: %d questions were longer than --max_query_length and were cut.",
                name,
                features.cut,
            )
        if self.unreached:
            log.warning(
                "%s: %d questions are not trained on: the characters of their answer became no "
                "token.",
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
        if self.max_len <= self.max_query_length + 3:
            raise UsageError(
                f"max_len={self.max_len} leaves no room for the text beside a question of "
                f"{self.max_query_length} tokens and 3 special ones: at least "
                f"{self.max_query_length + 4} is expected, or a lower max_query_length."
            )
        if self.doc_stride < 1:
            raise UsageError(f"doc_stride={self.doc_stride}: at least 1 token is expected.")


def build(
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    limits: Limits | None = None,
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
    rows: dict[str, int] = {}
    context = np.array([rows.setdefault(each.context, len(rows)) for each in questions], np.int64)
    asked = [each.question for each in questions]
    texts, contexts = _tokens(tokenizer, list(rows), asked, num_workers, bar)
    lengths = np.diff(asked_offsets := texts.offsets[len(rows) :])
    cut = int((lengths > limits.max_query_length).sum())
    lengths = np.minimum(lengths, limits.max_query_length)
    tokens = np.diff(texts.offsets[: len(rows) + 1])[context]  # of each question's context
    question, begin, size, kept = _slide(tokens, limits.max_len - 3 - lengths, limits.doc_stride)
    piece = texts.offsets[context][question] + begin
    asked_first, asked_size = asked_offsets[:-1][question], lengths[question]
    ids, offsets, types = _assemble(tokenizer, texts.ids, asked_first, asked_size, piece, size)
    first = asked_size + 2
    labels, unreached = None, 0
    if labelled:
        spans = _answers(questions, context, contexts, list(rows))
        unreached = int((spans[:, 0] > spans[:, 1]).sum())
        labels = _labels(spans[question], begin, size, first)
    return Windows(
        Features(ids, offsets, types, labels, cut),
        question,
        first,
        piece,
        kept + first[:, None],
        contexts.start,
        contexts.end,
        unreached,
    )


def _tokens(
    tokenizer: Tokenizer, contexts: list[str], asked: list[str], num_workers: int, bar: bool
) -> tuple[Columns, Columns]:
    """Tokens of the contexts and then the questions, and those of the contexts alone."""
    texts = contexts + asked
    if sum(map(len, texts)) < WORTH_WORKERS:
        num_workers = 0
    chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    parts, places = [], Places(tokenizer)
    with (
        tqdm(
            total=len(texts), desc="tokenise", unit="text", disable=None if bar else True
        ) as meter,
        Workers(num_workers, places) as workers,
    ):
        for part in workers.in_order(Places.__call__, places, chunks):
            parts.append(part)
            meter.update(len(part.offsets) - 1)
    every = Columns.join(parts)
    stop = every.offsets[len(contexts)]
    own = Columns(
        every.ids[:stop],
        every.start[:stop].copy(),
        every.end[:stop].copy(),
        every.offsets[: len(contexts) + 1],
    )
    return every, own


def _slide(tokens: Ints, room: Ints, stride: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Windows over contexts.

    Args:
        tokens: of the context of each question; (Q,).
        room: for them in a window; (Q,).
        stride: from window to window.

    Returns:
        of each window its question, its first context token, how many it has, all (N,), and the
        range of those that it shows best, (N, 2), both counted from its first.
    """
    step = np.minimum(room, stride)
    counts = 1 + np.maximum(0, -(-(tokens - room) // step))
    question = np.repeat(np.arange(len(tokens)), counts)
    number = np.arange(len(question)) - np.repeat(counts.cumsum() - counts, counts)
    begin = number * step[question]
    size = np.minimum(room[question], tokens[question] - begin)
    kept = np.stack([np.zeros_like(size), size], 1)
    several = np.flatnonzero(counts[question] > 1)
    if len(several):
        kept[several] = _best(question[several], begin[several], size[several])
    return question, begin, size, kept


def _best(question: Ints, begin: Ints, size: Ints) -> Ints:
    """Which tokens each of a question's windows shows with the most context around; (N, 2).

    The score is Google's: the smaller of the tokens left and right, and a hundredth of the
    window's size; of equal windows the first counts. So each window has one range of tokens.
    """
    ends = size.cumsum()
    place = np.arange(ends[-1]) - np.repeat(ends - size, size)  # in the window
    window = np.repeat(np.arange(len(size)), size)
    score = np.minimum(place, size[window] - 1 - place) + 0.01 * size[window]
    # A number for every token of every question: each question gets as many as it needs.
    lasts = np.flatnonzero(np.diff(question, append=-1))
    needs = begin[lasts] + size[lasts]
    base = np.repeat(needs.cumsum() - needs, np.diff(lasts, prepend=-1))
    token = base[window] + begin[window] + place
    order = np.lexsort((window, -score, token))
    owner = order[np.flatnonzero(np.diff(token[order], prepend=-1))]  # of each token, in order
    found = np.zeros((len(size), 2), np.int64)
    windows, firsts, counts = np.unique(window[owner], return_index=True, return_counts=True)
    found[windows, 0] = place[owner][firsts]
    found[windows, 1] = found[windows, 0] + counts
    return found


def _assemble(
    tokenizer: Tokenizer,
    ids: NDArray[np.int32],
    asked: Ints,
    asked_size: Ints,
    piece: Ints,
    size: Ints,
) -> tuple[NDArray[np.int32], Ints, NDArray[np.uint8]]:
    """Ids, offsets and types of windows, given rows of ``ids`` and how many tokens follow."""
    count = len(size)
    pool = np.append(ids, [tokenizer.vocab.cls_id, tokenizer.vocab.sep_id]).astype(np.int32)
    one = np.ones(count, np.int64)
    cls, sep = one * len(ids), one * (len(ids) + 1)
    sources = np.stack([cls, asked, sep, piece, sep], 1).ravel()
    sizes = np.stack([one, asked_size, one, size, one], 1).ravel()
    stops = sizes.cumsum()
    places = np.repeat(sources - stops + sizes, sizes)
    places += np.arange(len(places))
    types = np.repeat(np.tile(np.array([0, 0, 0, 1, 1], np.uint8), count), sizes)
    offsets = np.zeros(count + 1, np.int64)
    offsets[1:] = stops[4::5]
    return pool[places], offsets, types


def _answers(
    questions: Sequence[Question], context: Ints, tokens: Columns, texts: list[str]
) -> Ints:
    """First and last token, in its context, of each question's answer; (Q, 2).

    The smallest run of tokens that covers the answer's characters. (-1, -1) where there is no
    answer; the first is above the last where its characters became no token.
    """
    # All contexts end to end on one axis, so that one search finds all answers.
    base = np.zeros(len(texts), np.int64)
    base[1:] = np.cumsum([len(text) + 1 for text in texts[:-1]])
    shift = np.repeat(base, np.diff(tokens.offsets))
    targets = [None if each.impossible else each.target for each in questions]
    known = np.array([target is not None for target in targets])
    bounds = np.array([(target.start, target.end) for target in targets if target], np.int64)
    bounds = bounds.reshape(-1, 2) + base[context[known]][:, None]
    first = np.searchsorted(tokens.end + shift, bounds[:, 0], "right")
    last = np.searchsorted(tokens.start + shift, bounds[:, 1], "left") - 1
    found = np.full((len(questions), 2), -1, np.int64)
    found[known] = np.stack([first, last], 1) - tokens.offsets[context[known]][:, None]
    return found


def _labels(spans: Ints, begin: Ints, size: Ints, first: Ints) -> Ints:
    """Places of the answers in their windows; (0, 0) where they are not wholly inside."""
    inside = (spans[:, 0] >= begin) & (spans[:, 1] < begin + size)
    labels: Ints = np.where(inside[:, None], spans + (first - begin)[:, None], 0)
    labels[spans[:, 0] > spans[:, 1]] = IGNORE
    return labels
