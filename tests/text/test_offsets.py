"""Offsets of many texts at once against those of one text at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.text import offsets as module
from plainbert.text.offsets import OffsetTokenizer, TokenColumns
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

FIXTURES = Path(__file__).parent.parent / "fixtures" / "text"
LINES = (FIXTURES / "languages.txt").read_text("utf-8").split("\n")
UNCASED = WordPiece(Vocab.read(FIXTURES / "uncased.txt"))
ACROSS = WordPiece(
    Vocab.from_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "a", "b", "a b"]),
    added=[{"content": "a b", "special": False}],
)
# Blanks of every kind, accents apart from their letters, characters that BERT deletes or splits.
TEXTS = st.lists(
    st.text(
        st.sampled_from(list("ab.[]' \u3000\u00a0\u2028\n\t\u0301\u200b\x00\x0b\ufffd中ÀßI\u0130𝒳"))
        | st.characters(),
        max_size=30,
    ),
    max_size=6,
)


def check(tokenizer: Tokenizer, places: OffsetTokenizer, texts: list[str]) -> None:
    found = places(texts)
    assert len(found.offsets) == len(texts) + 1
    for row, text in enumerate(texts):
        part = slice(*found.offsets[row : row + 2])
        right = tokenizer.pieces(text)
        assert found.ids[part].tolist() == right.ids
        assert found.start[part].tolist() == right.start
        assert found.end[part].tolist() == right.end


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_any_text(texts: list[str]) -> None:
    check(UNCASED, OffsetTokenizer(UNCASED), texts)


@pytest.mark.parametrize(
    "tokenizer",
    [
        UNCASED,
        WordPiece(Vocab.read(FIXTURES / "chinese.txt"), lower=False),
        SentencePiece(FIXTURES / "unigram1000.model"),
        SentencePiece(FIXTURES / "bpe1000.model", lower=False),
    ],
    ids=["uncased", "chinese", "unigram", "bpe"],
)
def test_real_lines_with_every_tokenizer(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = OffsetTokenizer(tokenizer)
    check(tokenizer, places, LINES[:40])
    check(tokenizer, places, LINES[20:60])  # half of the runs are known
    monkeypatch.setattr(module, "TOGETHER", 10)
    monkeypatch.setattr(module, "MOST_RUNS", 5)
    check(tokenizer, places, LINES[:20])
    check(tokenizer, places, LINES[10:30])  # everything was forgotten in between


def test_added_tokens_with_blanks() -> None:
    check(ACROSS, OffsetTokenizer(ACROSS), ["a b a b", "a", "", "b a b"])
    assert OffsetTokenizer(ACROSS)(["a b"]).ids.tolist() == [6]


def test_nothing() -> None:
    for found in (OffsetTokenizer(UNCASED)([]), TokenColumns.join([])):
        assert found.offsets.tolist() == [0]
        assert len(found.ids) == len(found.start) == len(found.end) == 0
