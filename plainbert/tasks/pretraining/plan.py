"""Which sentences make up each instance: Google's algorithm on the lengths of sentences alone.

A plan says where the two texts of every instance lie in the store of tokens. No token is looked
at, so that planning costs little, and the tokens are gathered for many instances at once.

Source:
    google-research/bert, create_pretraining_data.py, create_instances_from_document.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.corpus import random_numbers
from plainbert.corpus.tokens import Store
from plainbert.errors import UsageError

Ints = NDArray[np.int64]
WINDOW = 1 << 13  # sentences whose token ranges are looked at together
SPECIALS = 3  # [CLS], [SEP], [SEP]
RANDOM_NEXT = 0.5  # chance of a second text from anywhere


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """How instances are made.

    Attributes:
        max_seq_length: tokens of an instance at most, special ones included.
        short_seq_prob: chance of a document to be cut into shorter instances.
        masked_lm_prob: share of the tokens of an instance to predict.
        max_predictions_per_seq: tokens to predict at most.
        whole_word_mask: mask the sub-words of a word together.
        dupe_factor: passes over the documents.
        seed: of every draw.

    Raises:
        UsageError: a number that makes no instances.
    """

    max_seq_length: int = 512
    short_seq_prob: float = 0.1
    masked_lm_prob: float = 0.15
    max_predictions_per_seq: int = 80
    whole_word_mask: bool = False
    dupe_factor: int = 1
    seed: int = 12345

    def __post_init__(self) -> None:
        least = SPECIALS + 2
        for name, low in (
            ("max_seq_length", least),
            ("max_predictions_per_seq", 1),
            ("dupe_factor", 1),
        ):
            if (value := getattr(self, name)) < low:
                why = " ([CLS], [SEP], [SEP] and one of each text)" if low == least else ""
                raise UsageError(f"--{name} {value}: at least {low} is needed{why}.")
        for name in ("short_seq_prob", "masked_lm_prob"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise UsageError(f"--{name} {value}: a probability from 0 to 1 is expected.")


@dataclass(frozen=True, slots=True)
class InstancePlan:
    """Where the texts of N instances lie in a store; every array is (N,).

    Attributes:
        a_start: first token of the first text.
        a_length: its tokens.
        b_start: first token of the second text.
        b_length: its tokens.
        random_next: 1 where the second text was drawn from anywhere, 0 where it came next.
        keys: a number for each instance, from which its masks are drawn.
        cut: tokens that were taken away to keep the limit on the length.
    """

    a_start: Ints
    a_length: Ints
    b_start: Ints
    b_length: Ints
    random_next: NDArray[np.int8]
    keys: random_numbers.Keys
    cut: Ints

    def __len__(self) -> int:
        return len(self.a_start)

    @property
    def lengths(self) -> Ints:
        """Tokens of each instance, special ones included; (N,)."""
        return self.a_length + self.b_length + SPECIALS

    def take(self, index: NDArray[Any] | slice) -> InstancePlan:
        """Some of the instances, in the order of ``index``."""
        return InstancePlan(*(getattr(self, field.name)[index] for field in fields(self)))


def make_plan(
    store: Store, documents: Ints, passes: Ints, settings: InstanceSettings
) -> InstancePlan:
    """Plan the instances of some documents.

    The instances of a document are a function of the corpus, the settings, the pass and the
    document; the company it is planned in does not matter.

    Args:
        store: the corpus; texts drawn at random come from all of it.
        documents: numbers of documents; (K,).
        passes: which pass over the corpus each of them is for, from 0; (K,).
        settings: how instances are made.

    Returns:
        instances in the order of the documents.
    """
    parts = _Parts(array("q"), array("q"), array("q"), array("q"), array("q"), array("d"))
    firsts = store.documents[documents].tolist()
    lasts = store.documents[documents + 1].tolist()
    seeds = random_numbers.keys(settings.seed, passes, documents).tolist()
    longest = settings.max_seq_length - SPECIALS
    counts = np.zeros(len(firsts), np.int64)
    for row, (number, first, last, seed) in enumerate(
        zip(documents.tolist(), firsts, lasts, seeds, strict=True)
    ):
        draw = random.Random(seed).random  # few draws per document: not worth doing in arrays
        # Some documents are cut shorter all through, so that short inputs are learned too.
        target = longest
        if draw() < settings.short_seq_prob:
            target = 2 + int(draw() * (longest - 1))
        before = len(parts.target)
        _cut(store, number, first, last, target, draw, parts)
        counts[row] = len(parts.target) - before
    # Masks are drawn from the document's seed and the instance's number in it: they do not depend
    # on which documents are planned together.
    serial = ragged.within(counts)
    keys = random_numbers.keys(np.repeat(np.array(seeds, np.uint64), counts), serial)
    return _spans(store, parts, keys, longest)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the loop over chunks found; one number per instance in each."""

    a_first: array[int]  # sentences
    a_last: array[int]
    b_last: array[int]  # -1: drawn at random
    other: array[int]  # document to draw from
    target: array[int]  # tokens wanted of it
    place: array[float]  # where in it to begin, from 0 to 1


def _cut(
    store: Store,
    number: int,
    first: int,
    last: int,
    target: int,
    draw: Callable[[], float],
    parts: _Parts,
) -> None:
    """Cut one document (sentences first to last) into chunks of about ``target`` tokens."""
    others = store.num_documents - 1
    # A document of any length is read window by window, as a list: bisection of a list is much
    # faster than of an array, and every chunk of ``target`` tokens fits into a window.
    window = max(WINDOW, 2 * target)
    while first < last:
        size = min(window, last - first)
        bounds = store.sentences[first : first + size + 1].tolist()
        at = 0
        while at < size:
            end = bisect_left(bounds, bounds[at] + target, at + 1)
            if end > size:
                if first + size < last:
                    break  # the chunk goes on behind the window
                end = size
            sentences = end - at
            middle = at + 1
            if sentences > 1:
                middle += int(draw() * (sentences - 1))
            parts.a_first.append(first + at)
            parts.a_last.append(first + middle)
            if sentences > 1 and draw() >= RANDOM_NEXT:
                parts.b_last.append(first + end)
                parts.other.append(0)
                parts.target.append(0)
                parts.place.append(0.0)
                at = end
                continue
            # The sentences behind the first text were not used: they come next.
            parts.b_last.append(-1)
            # Any document but this one: the numbers from its own on move up by one.
            other = int(draw() * others) if others else number
            parts.other.append(other + (other >= number if others else 0))
            parts.target.append(target - (bounds[middle] - bounds[at]))
            parts.place.append(draw())
            at = middle
        first += at


def _spans(store: Store, parts: _Parts, keys: random_numbers.Keys, longest: int) -> InstancePlan:
    """From sentences to tokens; what is too long loses tokens at either end."""
    sentences, documents = store.sentences, store.documents
    a_first, a_last, b_last = (
        np.frombuffer(column, np.int64) for column in (parts.a_first, parts.a_last, parts.b_last)
    )
    drawn = b_last < 0
    other = np.frombuffer(parts.other, np.int64)[drawn]
    begin, end = documents[other], documents[other + 1]
    begin = begin + (np.frombuffer(parts.place)[drawn] * (end - begin)).astype(np.int64)
    # Sentences until there are enough tokens, one at least, none behind the document.
    goals = np.maximum(np.frombuffer(parts.target, np.int64)[drawn], 1)
    reached = np.searchsorted(sentences, sentences[begin] + goals)
    b_first, b_last = a_last.copy(), b_last.copy()
    b_first[drawn], b_last[drawn] = begin, np.minimum(reached, end)
    a_start, b_start = sentences[a_first], sentences[b_first]
    a_length, b_length = sentences[a_last] - a_start, sentences[b_last] - b_start
    # The source takes single tokens from the longer text (the second, where both are as long),
    # each from its front or its back with even chances. It ends here:
    kept = np.minimum(b_length, np.maximum(longest // 2, longest - a_length))
    a_cut = np.maximum(a_length + kept - longest, 0)
    b_cut = b_length - kept
    return InstancePlan(
        a_start=a_start + random_numbers.binomial(random_numbers.keys(keys, 1), a_cut),
        a_length=a_length - a_cut,
        b_start=b_start + random_numbers.binomial(random_numbers.keys(keys, 2), b_cut),
        b_length=kept,
        random_next=drawn.astype(np.int8),
        keys=keys,
        cut=a_cut + b_cut,
    )
