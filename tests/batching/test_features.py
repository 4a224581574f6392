"""Texts to columns: special tokens, truncation, any number of workers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.batching import features as module
from plainbert.batching.features import featurize
from plainbert.batching.truncation import truncate
from plainbert.errors import CheckpointError, UsageError
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

WORDS = ["a", "b", "c", "d", "e", "f", "g"]
# [CLS] and [SEP] at unusual rows: they must be looked up.
VOCAB = Vocab.from_tokens(
    ["a", "b", "[SEP]", "c", "[UNK]", "d", "e", "[CLS]", "f", "g", "[PAD]", "[MASK]"]
)
A, B, SEP, C, UNK, D, E, CLS, F, G = range(10)
LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def tokenizer():
    return WordPiece(VOCAB)


def rows_of(features):
    return [features.row(row) for row in range(len(features))]


def one_at_a_time(lengths, budget):
    """GluonNLP's _truncate_seq_pair, for any number of texts."""
    kept = list(lengths)
    while sum(kept) > budget:
        longest = max(range(len(kept)), key=lambda place: (kept[place], place))
        kept[longest] -= 1
    return kept


@given(LENGTHS, st.integers(0, 70))
def test_truncation_takes_one_token_at_a_time_from_the_longest(lengths, budget):
    assert truncate(lengths, budget) == one_at_a_time(lengths, budget)


def test_gluonnlps_pairs_lose_the_second_text_first():
    """`if len(a) > len(b): a.pop() else: b.pop()`."""
    assert truncate([4, 4], 7) == [4, 3]
    assert truncate([5, 4], 7) == [4, 3]
    assert truncate([2, 9], 5) == [2, 3]


def test_one_two_and_three_texts(tokenizer):
    features = featurize(tokenizer, [("a b",), ("a", "b c"), ("a", "b", "c zz")], 20)
    assert rows_of(features) == [
        [CLS, A, B, SEP],
        [CLS, A, SEP, B, C, SEP],
        [CLS, A, SEP, B, SEP, C, UNK, SEP],
    ]
    types = np.split(features.types, features.offsets[1:-1])
    assert [part.tolist() for part in types] == [
        [0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1, 1],
    ]
    assert features.cut == 0
    assert features.lengths.tolist() == [4, 6, 8]
    assert (features.ids.dtype, features.types.dtype) == (np.int32, np.uint8)


def test_cut_rows_are_counted_and_just_as_long_as_allowed(tokenizer):
    texts = [("a b c d",), ("a b c", "d e f g"), ("a", "b")]
    features = featurize(tokenizer, texts, 6)
    assert rows_of(features) == [
        [CLS, A, B, C, D, SEP],
        [CLS, A, B, SEP, D, SEP],
        [CLS, A, SEP, B, SEP],
    ]
    assert features.cut == 1
    assert featurize(tokenizer, texts, 5).cut == 2


@given(
    st.lists(
        st.lists(
            st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), min_size=1, max_size=3
        ),
        max_size=8,
    ),
    st.integers(7, 30),
)
def test_rows_are_what_their_texts_say(texts, max_len):
    tokenizer = WordPiece(VOCAB)
    features = featurize(tokenizer, [tuple(row) for row in texts], max_len)
    for row, got in zip(texts, rows_of(features), strict=True):
        parts = [tokenizer.ids(text) for text in row]
        keep = one_at_a_time([len(part) for part in parts], max_len - len(parts) - 1)
        want = [CLS]
        for part, length in zip(parts, keep, strict=True):
            want += [*part[:length], SEP]
        assert got == want
    assert len(features) == len(texts)


def test_workers_change_nothing(tokenizer, monkeypatch):
    monkeypatch.setattr(module, "WORTH_WORKERS", 1)
    monkeypatch.setattr(module, "CHUNK", 7)
    texts = [(" ".join(WORDS[: 1 + i % 7]), WORDS[i % 7]) for i in range(60)]
    labels = [i % 3 for i in range(60)]
    alone = featurize(tokenizer, texts, 8, labels)
    for workers in (1, 2):
        many = featurize(tokenizer, texts, 8, labels, num_workers=workers)
        for name in ("ids", "offsets", "types", "labels"):
            assert (getattr(many, name) == getattr(alone, name)).all(), name
        assert many.cut == alone.cut > 0


def test_labels_are_class_ids_or_numbers(tokenizer):
    assert featurize(tokenizer, [("a",)] * 2, 9, [1, 0]).labels.dtype == np.int64
    assert featurize(tokenizer, [("a",)] * 2, 9, [1, 0.5]).labels.dtype == np.float32
    assert featurize(tokenizer, [("a",)], 9).labels is None


def test_mistakes_are_named(tokenizer):
    with pytest.raises(UsageError, match="max_len=4 is too short: 2 text"):
        featurize(tokenizer, [("a", "b")], 4)
    with pytest.raises(UsageError, match="1 labels for 2 rows"):
        featurize(tokenizer, [("a",), ("b",)], 9, [1])
    bare = WordPiece(Vocab.from_tokens(["[UNK]", "[CLS]", "a"]))
    with pytest.raises(CheckpointError, match="SEP"):
        featurize(bare, [("a",)], 9)
