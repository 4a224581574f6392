"""Masks for many instances at once: which tokens to predict, and what stands in their place.

Draws depend on the key of the instance and the place of the token only, so that an instance gets
the same masks whichever others are masked with it.

Source:
    google-research/bert, create_pretraining_data.py, create_masked_lm_predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.corpus import random_numbers
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.text.tokenizer import Tokenizer

Ints = NDArray[np.int64]
HIGHEST = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Masks:
    """M masks of N instances.

    Attributes:
        positions: in the row of all tokens, ascending; (M,).
        ids: tokens that were there; (M,), type of the tokens.
        counts: masks of each instance; (N,).
    """

    positions: Ints
    ids: NDArray[Any]
    counts: Ints


@dataclass(frozen=True, slots=True)
class Masker:
    """How to mask; V is the size of the vocabulary.

    Attributes:
        mask_id: row of [MASK].
        never: tokens that are not masked, [CLS] and [SEP]; (V,), bool.
        inner: tokens inside of a word; (V,), bool. None: every token by itself.
        prob: share of the tokens to predict, special ones counted.
        most: tokens to predict at most.
        masked: share of the predicted tokens that become [MASK].
        kept: share of them that stay; the others become any token of the vocabulary.
    """

    mask_id: int
    never: NDArray[np.bool_]
    inner: NDArray[np.bool_] | None
    prob: float
    most: int
    masked: float = 0.8
    kept: float = 0.1

    @classmethod
    def of(cls, tokenizer: Tokenizer, settings: InstanceSettings) -> Masker:
        """The masker of a vocabulary.

        Raises:
            CheckpointError: the vocabulary lacks [CLS], [SEP] or [MASK].
        """
        vocab = tokenizer.vocab
        never = np.zeros(len(vocab), bool)
        never[[vocab.cls_id, vocab.sep_id]] = True
        inner = None
        if settings.whole_word_mask:
            inner = np.array([not tokenizer.is_first(token) for token in vocab.tokens])
            inner[[vocab.rows[token] for token in vocab.specials.values()]] = False
        return cls(
            vocab.mask_id, never, inner, settings.masked_lm_prob, settings.max_predictions_per_seq
        )

    def __call__(self, ids: NDArray[Any], offsets: Ints, keys: random_numbers.Keys) -> Masks:
        """Mask instances in place.

        Args:
            ids: tokens of all instances with [CLS] and [SEP], none of them empty; (T,), changed.
            offsets: where each instance begins, and T; (N + 1,).
            keys: of the instances; (N,).
        """
        lengths = np.diff(offsets)
        quotas = np.rint(lengths * self.prob).astype(np.int64)
        quotas = np.minimum(self.most, np.maximum(1, quotas))
        # One number per token, a hash of a counter: token t of instance n has keys[n] +
        # (t + 1) STEP. No generator runs from instance to instance, so that the masks of one are
        # the same in any batch, shard or process, and all are drawn in a few passes over an array.
        begin = keys - offsets[:-1].astype(np.uint64) * random_numbers.STEP
        chance = np.repeat(begin, lengths)
        chance += np.arange(1, len(ids) + 1, dtype=np.uint64) * random_numbers.STEP
        random_numbers.mix(chance)
        free = ~self.never[ids]
        if self.inner is None:
            positions = _smallest(chance, free, offsets, quotas)
        else:
            positions = _whole_words(chance, free, self.inner[ids], offsets, quotas)
        original = ids[positions]
        ids[positions] = self._replacements(original, chance[positions])
        ends = np.searchsorted(positions, offsets)
        return Masks(positions, original, np.diff(ends))

    def _replacements(self, original: NDArray[Any], chance: random_numbers.Keys) -> NDArray[Any]:
        """What stands in the place of tokens to predict.

        BERT's 80 / 10 / 10: mostly [MASK]; but fine-tuning never sees [MASK], so some tokens are
        replaced by any other and some stay, and the model must know each word in its context.
        """
        # Two more numbers per token; the first one, which chose it, is small by selection.
        kind = random_numbers.uniform(random_numbers.mix(chance + random_numbers.STEP))
        anything = random_numbers.uniform(
            random_numbers.mix(chance + random_numbers.STEP + random_numbers.STEP)
        ) * len(self.never)
        ids = np.where(kind < self.masked + self.kept, original, anything.astype(original.dtype))
        ids[kind < self.masked] = self.mask_id
        return ids


def _smallest(
    chance: random_numbers.Keys, free: NDArray[np.bool_], offsets: Ints, quotas: Ints
) -> Ints:
    """Positions of the tokens with the ``quotas[n]`` smallest numbers among the free ones."""
    lengths = np.diff(offsets)
    there = np.add.reduceat(free, offsets[:-1], dtype=np.int64)
    # Few tokens can be among the smallest, q of them: only those below a bound are sorted, about a
    # quarter of a long instance. As many numbers as expected lie below a bound, give or take their
    # root: five times that, and 3 where q is small, leaves too few in less than one instance of a
    # million. There all are sorted, so that the bound never shows in the masks.
    share = (quotas + 5.0 * np.sqrt(quotas) + 3.0) / np.maximum(there, 1)
    bound = np.where(share < 1.0, np.minimum(share, 0.99) * 2.0**64, 0.0).astype(np.uint64)
    bound[share >= 1.0] = HIGHEST
    positions, rows, first = _below(chance, free, offsets, lengths, bound)
    short = np.diff(first) < np.minimum(quotas, there)
    if short.any():
        bound[short] = HIGHEST
        positions, rows, first = _below(chance, free, offsets, lengths, bound)
    order = _sorted(chance[positions], rows)
    rank = np.arange(len(positions)) - first[rows]
    return np.sort(positions[order[rank < quotas[rows]]])


def _below(
    chance: random_numbers.Keys,
    free: NDArray[np.bool_],
    offsets: Ints,
    lengths: Ints,
    bound: random_numbers.Keys,
) -> tuple[Ints, Ints, Ints]:
    """Free positions with numbers up to a bound, their rows, where each row begins among them."""
    positions = np.flatnonzero((chance <= np.repeat(bound, lengths)) & free)
    first = np.searchsorted(positions, offsets)
    return positions, ragged.rows(np.diff(first)), first


def _sorted(chance: random_numbers.Keys, rows: Ints) -> Ints:
    """Order by row, then by number. Rows ascend already."""
    if len(rows) and rows[-1] >= 1 << 20:
        return np.lexsort((chance, rows))
    # 44 bits tell the tokens of a row apart; equal ones stay in the order of their positions.
    return np.argsort(
        (rows.astype(np.uint64) << np.uint64(44)) | (chance >> np.uint64(20)), kind="stable"
    )


def _whole_words(
    chance: random_numbers.Keys,
    free: NDArray[np.bool_],
    inner: NDArray[np.bool_],
    offsets: Ints,
    quotas: Ints,
) -> Ints:
    """Positions of whole words, drawn one after the other; those that do not fit are left out.

    A sub-word from inside of a word belongs to the last free token before it, as in the source:
    across [SEP] too, where the second text begins within a word.
    """
    positions = np.flatnonzero(free)
    first = np.searchsorted(positions, offsets)
    starts = ~inner[positions]
    starts[first[:-1][first[:-1] < first[1:]]] = True
    begin = np.flatnonzero(starts)  # of each word, in ``positions``
    sizes = np.diff(np.append(begin, len(positions)))
    first = np.searchsorted(begin, first)  # words of each row
    counts = np.diff(first)
    rows = ragged.rows(counts)
    order = _sorted(chance[positions[begin]], rows)
    size = sizes[order]
    before = size.cumsum() - size
    base = np.append(before, size.sum())[first[:-1]]
    filled = before + size - np.repeat(base, counts)
    taken = filled <= np.repeat(quotas, counts)  # all up to the first one that does not fit
    inside = np.append(0, taken.cumsum())
    ahead = inside[first[1:]] - inside[first[:-1]]
    done = np.append(0, (size * taken).cumsum())
    room = quotas - (done[first[1:]] - done[first[:-1]])
    # The others one by one, in all instances that still have room at a time.
    at = first[:-1] + ahead + 1
    going = np.flatnonzero((room > 0) & (at < first[1:]))
    at = at[going]
    while len(going):
        fits = size[at] <= room[going]
        taken[at[fits]] = True
        room[going] -= np.where(fits, size[at], 0)
        at += 1
        on = (room[going] > 0) & (at < first[1:][going])
        going, at = going[on], at[on]
    chosen = np.zeros(len(size), bool)
    chosen[order[taken]] = True
    return positions[np.repeat(chosen, sizes)]
