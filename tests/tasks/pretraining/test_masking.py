"""``plainbert.tasks.pretraining.masking``: what holds for all masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.corpus import random_numbers
from plainbert.errors import CheckpointError
from plainbert.tasks.pretraining import masking
from plainbert.tasks.pretraining.masking import Masker
from plainbert.tasks.pretraining.plan import InstanceSettings
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import slow_corpus, texts

BODY = st.lists(st.integers(5, len(texts.TOKENS) - 1), min_size=2, max_size=60)


def instances(bodies: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    rows = [
        [slow_corpus.CLS, body[0], slow_corpus.SEP, *body[1:], slow_corpus.SEP] for body in bodies
    ]
    offsets = np.append(0, np.cumsum([len(row) for row in rows]))
    return np.array([token for row in rows for token in row], np.uint16), offsets


@given(
    bodies=st.lists(BODY, min_size=1, max_size=6),
    prob=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    most=st.integers(1, 30),
    words=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_instance(
    bodies: list[list[int]], prob: float, most: int, words: bool, seed: int
) -> None:
    settings = InstanceSettings(128, 0.1, prob, most, words)
    masker = Masker.of(texts.tokenizer(), settings)
    plain, offsets = instances(bodies)
    ids, keys = plain.copy(), random_numbers.keys(seed, np.arange(len(bodies)))
    masks = masker(ids, offsets, keys)
    assert np.array_equal(plain[masks.positions], masks.ids)
    untouched = np.setdiff1d(np.arange(len(ids)), masks.positions)
    assert np.array_equal(ids[untouched], plain[untouched])
    assert (np.diff(masks.positions) > 0).all()
    assert masks.counts.sum() == len(masks.positions)
    assert not np.isin(masks.ids, [slow_corpus.CLS, slow_corpus.SEP]).any()
    for row, body in enumerate(bodies):
        length = offsets[row + 1] - offsets[row]
        wanted = min(most, max(1, round(length * prob)))
        if not words:
            assert masks.counts[row] == min(wanted, len(body))
        assert masks.counts[row] <= wanted
        # Alone, an instance gets the same masks.
        own = plain[offsets[row] : offsets[row + 1]].copy()
        alone = masker(own, np.array([0, length]), keys[row : row + 1])
        assert np.array_equal(own, ids[offsets[row] : offsets[row + 1]])
        assert alone.counts[0] == masks.counts[row]


@given(body=BODY, seed=st.integers(0, 1000))
def test_words_are_whole_and_as_many_as_fit(body: list[int], seed: int) -> None:
    masker = Masker.of(texts.tokenizer(), InstanceSettings(128, 0.1, 0.3, 80, True))
    plain, offsets = instances([body])
    masks = masker(plain.copy(), offsets, random_numbers.keys(seed))
    found = set(masks.positions.tolist())
    room = max(1, round(len(plain) * 0.3)) - len(masks.positions)
    words: list[list[int]] = []
    for place, token in enumerate(plain.tolist()):
        if token not in (slow_corpus.CLS, slow_corpus.SEP):
            if words and token in texts.INNER:
                words[-1].append(place)
            else:
                words.append([place])
    for word in words:
        assert len(found.intersection(word)) in (0, len(word))
        if not found.intersection(word):
            assert len(word) > room


def test_rows_of_which_the_bound_left_too_few() -> None:
    """Where chance puts too few tokens of an instance below the bound, all are looked at."""
    rng = np.random.default_rng(1)
    offsets, wanted = np.array([0, 500, 1000, 1500]), np.array([75, 60, 3])
    chance = rng.integers(0, 2**63, 1500).astype(np.uint64)
    chance[500:1000] += np.uint64(2**63)  # none of the second row is below its bound
    free = rng.random(1500) < 0.9
    places = masking._smallest(chance, free, offsets, wanted)
    slow_places: list[int] = []
    for row in range(3):
        span = range(offsets[row], offsets[row + 1])
        smallest = sorted((chance[place], place) for place in span if free[place])
        slow_places += sorted(place for _, place in smallest[: wanted[row]])
    assert places.tolist() == slow_places


def test_special_tokens_of_the_text_stay() -> None:
    masker = Masker.of(texts.tokenizer(), InstanceSettings(64, 0.1, 1.0, 60))
    plain, offsets = instances([[7, slow_corpus.SEP, 8, slow_corpus.CLS, 9]])
    masks = masker(plain, offsets, random_numbers.keys(1))
    assert masks.ids.tolist() == [7, 8, 9]


def test_sentencepiece_words() -> None:
    """Pieces that begin a word carry a mark there, and special tokens begin one."""
    tokenizer = texts.tokenizer()
    inner = Masker.of(tokenizer, InstanceSettings(whole_word_mask=True)).inner
    assert inner is not None
    assert set(np.flatnonzero(inner).tolist()) == texts.INNER


def test_a_vocabulary_without_mask() -> None:
    words = [token for token in texts.TOKENS if token != "[MASK]"]
    with pytest.raises(CheckpointError, match="mask"):
        Masker.of(WordPiece(Vocab.from_tokens(words)), InstanceSettings())
