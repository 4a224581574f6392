"""Sentences of words as features: pieces, windows for long sentences, and where each word lies.

The first piece of a word carries its tag; the other pieces carry none. A sentence that is longer
than the limit becomes several windows that overlap. Each of its words still counts once, in the
window that shows most of what stands around it, in training as in prediction.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.nn.names import IGNORE
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

OVERLAP = 1 / 3  # of a window, with the next one of the same sentence

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class WordFeatures:
    """N sentences of W words in all, as features.

    Attributes:
        features: one row for each window; labels, where there are any, are one for each token.
        offsets: sentence i has the words ``offsets[i]`` to ``offsets[i + 1]``; (N + 1,).
        first: where in ``features.ids`` the first piece of each word lies that counts; -1 for a
            word of which the tokenizer leaves nothing; (W,).
        windowed: sentences that became more than one window.
    """

    features: Features
    offsets: Ints
    first: Ints
    windowed: int

    def __len__(self) -> int:
        return len(self.offsets) - 1


def prepare(
    tokenizer: Tokenizer,
    sentences: Sequence[Sequence[str]],
    max_len: int,
    labels: Sequence[Sequence[int]] | None = None,
) -> WordFeatures:
    """Tokenise sentences that are split into words: ``[CLS] pieces of the words [SEP]``.

    Each distinct word is tokenised once. What did not go as usual is counted in the log.

    Args:
        tokenizer: its vocabulary names the special tokens.
        sentences: words of each; a sentence without words has no row.
        max_len: tokens per row at most, special ones included. No word is divided between two
            windows; one that alone is longer loses its last pieces.
        labels: ids of the tags of each sentence; ``IGNORE`` for a word that does not count.

    Raises:
        UsageError: ``max_len`` has no room for a token beside the special ones, or there are not
            as many labels as words.
        CheckpointError: the vocabulary has no [CLS] or [SEP].
    """
    if max_len < 3:
        raise UsageError(f"max_len={max_len} is too short: [CLS], a token and [SEP] are 3 tokens.")
    specials = (tokenizer.vocab.cls_id, tokenizer.vocab.sep_id)
    offsets = ragged.offsets([len(sentence) for sentence in sentences])
    rows: dict[str, int] = {}
    kinds = np.fromiter(
        (rows.setdefault(word, len(rows)) for word in chain.from_iterable(sentences)),
        np.int64,
        int(offsets[-1]),
    )
    pieces = tokenizer.ids_many(rows)
    full = np.array([len(ids) for ids in pieces], np.int64)
    sizes = np.minimum(full, max_len - 2)[kinds]  # pieces of each word: (W,)
    begin, end = _windows(offsets, sizes, max_len - 2)
    ids, starts, first = _rows(begin, end, kinds, sizes, pieces, specials)
    column = None if labels is None else _labels(labels, first, len(ids))
    cut = int((full[kinds] > max_len - 2).sum())
    per_sentence = np.bincount(
        np.searchsorted(offsets, begin, "right") - 1, minlength=len(sentences)
    )
    features = WordFeatures(
        Features(ids, starts, np.zeros(len(ids), np.uint8), column, cut, per_token=True),
        offsets,
        first,
        int((per_sentence > 1).sum()),
    )
    _report(features, max_len)
    return features


def _windows(offsets: Ints, sizes: Ints, budget: int) -> tuple[Ints, Ints]:
    """First word of each window, and the word after its last one."""
    before = ragged.offsets(sizes)  # pieces before each word: (W + 1,)
    begin, end = offsets[:-1], offsets[1:]
    long = before[end] - before[begin] > budget
    firsts, lasts = [begin[~long & (end > begin)]], [end[~long & (end > begin)]]
    for start, stop in zip(begin[long].tolist(), end[long].tolist(), strict=True):
        part = before[start : stop + 1]
        bounds = []
        here = 0
        while part[-1] - part[here] > budget:
            there = int(np.searchsorted(part, part[here] + budget, "right")) - 1
            bounds.append((here, there))
            # A third of a window in common; less where the next word, which the next window must
            # show so that it shows something new, would find no room then.
            least = max(part[there] - int(budget * OVERLAP), part[there + 1] - budget)
            here = int(np.searchsorted(part, least))
        # The last window reaches back as far as it can: more context costs nothing there.
        bounds.append((int(np.searchsorted(part, part[-1] - budget)), stop - start))
        firsts.append(np.array([start + first for first, _ in bounds]))
        lasts.append(np.array([start + last for _, last in bounds]))
    joined = np.concatenate(firsts)
    # Short sentences stand in front of long ones by now; rows go in the order of the sentences.
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate(lasts)[order]


def _rows(
    begin: Ints,
    end: Ints,
    kinds: Ints,
    sizes: Ints,
    pieces: Sequence[Sequence[int]],
    specials: tuple[int, int],
) -> tuple[NDArray[np.int32], Ints, Ints]:
    """Ids of all windows, their offsets, and the place of each word's first piece."""
    before = ragged.offsets(sizes)
    words = ragged.ranges(begin, end - begin)  # of all windows, end to end: (P,)
    window = ragged.rows(end - begin)
    starts = ragged.offsets(before[end] - before[begin] + 2)
    ids = np.empty(starts[-1], np.int32)
    ids[starts[:-1]], ids[starts[1:] - 1] = specials
    inside = np.ones(len(ids), bool)
    inside[starts[:-1]] = inside[starts[1:] - 1] = False
    stored = np.fromiter(chain.from_iterable(pieces), np.int32)
    stored_offsets = ragged.offsets([len(row) for row in pieces])
    ids[inside] = stored[ragged.ranges(stored_offsets[kinds[words]], sizes[words])]

    left = before[words] - before[begin[window]]  # pieces before the word in its window: (P,)
    right = before[end[window]] - before[words + 1]
    place = np.where(sizes[words] > 0, starts[window] + 1 + left, -1)
    # A word counts in the window where its shorter side is longest, of equal ones in the first.
    order = np.lexsort((window, -np.minimum(left, right), words))
    _, chosen = np.unique(words[order], return_index=True)  # the first of each word is its best
    return ids, starts, place[order[chosen]]


def _labels(labels: Sequence[Sequence[int]], first: Ints, tokens: int) -> Ints:
    flat = np.fromiter(chain.from_iterable(labels), np.int64)
    if len(flat) != len(first):
        raise UsageError(f"{len(flat)} labels for {len(first)} words; one each is expected.")
    column = np.full(tokens, IGNORE, np.int64)
    column[first[first >= 0]] = flat[first >= 0]
    return column


def _report(features: WordFeatures, max_len: int) -> None:
    if features.windowed:
        log.info(
            "%d of %d rows are longer than %d tokens and were read in overlapping windows.",
            features.windowed,
            len(features),
            max_len,
        )
    if features.features.cut:
        log.warning(
            "%d words alone are longer than %d tokens and were cut.", features.features.cut, max_len
        )
    if silent := int((features.first < 0).sum()):
        log.warning(
            "%d of %d words leave no token: the model does not see them.",
            silent,
            len(features.first),
        )
