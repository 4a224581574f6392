"""Words to windows of pieces, against a slow version and the recipe of transformers."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from plainbert.errors import UsageError
from plainbert.nn.names import IGNORE
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.features import WordFeatures, prepare
from plainbert.tasks.ner.tags import TagSet
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import folders

FIXTURES = Path(__file__).parents[2] / "fixtures"
TINY = folders.tokenizer()
# Word i of a text is "wi" with so many "x" behind it, or nothing: every window can be located.
NUMBERED = WordPiece(
    Vocab.from_tokens(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##x"]
        + [f"w{number}" for number in range(80)]
    )
)
TEXTS = st.lists(st.lists(st.integers(-1, 4), max_size=16), max_size=5)


def windows_of(made: WordFeatures) -> list[list[int]]:
    return [made.features.row(row) for row in range(len(made.features))]


@given(sizes=TEXTS, max_len=st.integers(3, 12))
def test_every_word_counts_once_where_it_has_most_context(
    sizes: list[list[int]], max_len: int
) -> None:
    names = iter(range(80))
    texts = [
        [f"w{next(names)}" + "x" * size if size >= 0 else "\u200b" for size in text]
        for text in sizes
    ]
    flat = [word for text in texts for word in text]
    made = prepare(NUMBERED, texts, max_len, [list(range(len(text))) for text in texts])
    pieces = [NUMBERED.ids(word)[: max_len - 2] for word in flat]
    owner = {word[0]: number for number, word in enumerate(pieces) if word}
    rows = windows_of(made)

    seen: dict[int, list[tuple[int, int]]] = {number: [] for number in owner.values()}
    last = -1
    for row, start in zip(rows, made.features.offsets, strict=False):
        assert len(row) <= max_len
        assert (row[0], row[-1]) == (NUMBERED.vocab.cls_id, NUMBERED.vocab.sep_id)
        words = [owner[piece] for piece in row if piece in owner]
        whole = range(words[0], words[-1] + 1) if words else range(0)
        assert row[1:-1] == [piece for number in whole for piece in pieces[number]]
        assert not words or words[-1] > last  # each window shows something new
        last = max([last, *words])
        left = 0
        for number in words:
            right = len(row) - 2 - left - len(pieces[number])
            seen[number].append((min(left, right), int(start) + 1 + left))
            left += len(pieces[number])
    column = made.features.labels
    assert column is not None
    place = 0
    for text in texts:
        for index in range(len(text)):
            first, options = int(made.first[place]), seen.get(place)
            if options is None:
                assert first == -1
            else:
                most = max(context for context, _ in options)
                assert first == next(token for context, token in options if context == most)
                assert column[first] == index
            place += 1
    assert (column != IGNORE).sum() == len(owner)
    totals = [sum(len(NUMBERED.ids(word)[: max_len - 2]) for word in text) for text in texts]
    assert made.windowed == sum(total > max_len - 2 for total in totals)
    assert len(rows) >= sum(bool(text) for text in texts)
    if made.windowed == 0:
        assert len(rows) == sum(bool(text) for text in texts)


def test_the_window_with_most_context_by_hand() -> None:
    """Fourteen words of one piece, windows of six that share two."""
    made = prepare(TINY, [["a", "b", "c", "the", "cat"] * 2 + ["a", "b", "c", "the"]], 8)

    words = windows_of(made)
    names = [[TINY.vocab.tokens[piece] for piece in row[1:-1]] for row in words]
    assert names == [
        ["a", "b", "c", "the", "cat", "a"],
        ["cat", "a", "b", "c", "the", "cat"],
        ["the", "cat", "a", "b", "c", "the"],
    ]
    window = np.searchsorted(made.features.offsets, made.first, "right") - 1
    # Words 4 and 5 are in the first two windows, 8 and 9 in the last two.
    assert window.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    assert made.windowed == 1


def test_as_the_recipe_of_transformers() -> None:
    """First piece of a word its tag, the others -100, as run_ner.py aligns them."""
    path = FIXTURES / "text" / "uncased.txt"
    ours = WordPiece(Vocab.from_txt(path), lower=True)
    theirs = transformers.BertTokenizer(str(path), do_lower_case=True)
    data = conll.read(FIXTURES / "ner" / "ncbi.txt")
    chosen = TagSet.of(data, "iob2")
    labels = [chosen.ids(sentence.tags or ()) for sentence in data.sentences]
    words = [list(sentence.words) for sentence in data.sentences]

    made = prepare(ours, words, 512, labels)

    got = theirs(words, is_split_into_words=True)
    assert windows_of(made) == got["input_ids"]
    column = []
    for row, tags in enumerate(labels):
        previous = None
        for word in got.word_ids(row):
            column.append(IGNORE if word is None or word == previous else tags[word])
            previous = word
    assert made.features.labels is not None
    assert made.features.labels.tolist() == column
    assert made.features.per_token


def test_what_the_log_says(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        made = prepare(TINY, [["\u200b", "abababab"], [], ["a"] * 9], 8)

    assert "1 of 3 rows are longer than 8 tokens" in caplog.text
    assert "1 words alone are longer than 8 tokens and were cut" in caplog.text
    assert "1 of 11 words leave no token" in caplog.text
    assert made.features.cut == 1
    assert made.offsets.tolist() == [0, 2, 2, 11]


def test_nothing_at_all() -> None:
    made = prepare(TINY, [[]], 8)

    assert (len(made), len(made.features), len(made.first)) == (1, 0, 0)
    assert len(prepare(TINY, [], 8, [])) == 0


def test_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="max_len=2 is too short"):
        prepare(TINY, [["a"]], 2)
    with pytest.raises(UsageError, match="2 labels for 1 words"):
        prepare(TINY, [["a"]], 8, [[1, 2]])
