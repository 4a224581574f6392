"""Words longer than the library can cut in reasonable time, and very many added tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.text import wordpiece
from plainbert.text.offsets import OffsetTokenizer
from plainbert.text.reader import read_tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import google

UNCASED = Vocab.read(google.FIXTURES / "uncased.txt")
CASED = Vocab.read(google.FIXTURES / "cased.txt")
ANY = 10**18
ADDED = [
    {"content": "heron", "special": False, "normalized": True},
    {"content": "[E1]", "special": True, "lstrip": True, "normalized": False},
    {"content": "two words", "special": False},
    {"content": "é", "special": False, "normalized": False, "single_word": True},
]
NEW = [str(token["content"]) for token in ADDED if token["content"] not in UNCASED]
MORE = Vocab([*UNCASED.tokens, *NEW])
KINDS = {
    "uncased": WordPiece(UNCASED, max_word_chars=ANY),
    "cased": WordPiece(CASED, lower=False, max_word_chars=ANY),
    "accents kept": WordPiece(UNCASED, strip_accents=False, split_cjk=False, max_word_chars=ANY),
    "limited": WordPiece(UNCASED, max_word_chars=5),
    "added": WordPiece(MORE, max_word_chars=ANY, added=ADDED),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(
            ["heron", "Heron", " [E1]", "[MASK]", "two words", "é", "É", "e\u0301", "中", "İ", "ß",
             "unaffable", "’s", "...", " ", "\t", "\x00", "\u200d", "한", "पट", "ॅ\u0301", "x" * 30]
        )
        | st.text(st.characters(codec="utf-8"), max_size=4),
        max_size=8,
    )
)  # fmt: skip
def test_equals_the_library(kind: str, parts: list[str]) -> None:
    tokenizer, text = KINDS[kind], "".join(parts)
    encoding = tokenizer._backend.encode(text, add_special_tokens=False)

    ids, spans = tokenizer._of_long_words(text)

    assert ids == encoding.ids
    assert spans == encoding.offsets


@pytest.mark.parametrize("kind", ["uncased", "added"])
def test_long_words_go_that_way(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "unaffablé [MASK] heron\ud800s two words"
    tokenizer = KINDS[kind]
    usual = tokenizer.pieces(text)
    monkeypatch.setattr(wordpiece, "LONG_RUN", re.compile(r"\S{4}"))

    assert tokenizer.pieces(text) == usual
    assert tokenizer.ids(text) == usual.ids
    assert list(tokenizer._reference(text)) == usual.ids


def folder(path: Path, **model: object) -> Path:
    """A saved tokenizer with some fields of its model changed."""
    WordPiece(UNCASED).save(path)
    content = json.loads((path / "tokenizer.json").read_text("utf-8"))
    content["model"] |= model
    (path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    return path


@pytest.mark.parametrize(("limit", "letters"), [(10**6, 20_000), (ANY, 100_000)])
def test_a_word_of_many_letters(tmp_path: Path, limit: int, letters: int) -> None:
    tokenizer = read_tokenizer(folder(tmp_path, max_input_chars_per_word=limit))
    text = "é" * letters + " ab" + "中文" * 1000 + "ปี" * 10_000

    found = tokenizer.pieces(text)

    assert found.ids == tokenizer.ids(text)
    assert found.ids[:3] == UNCASED.ids(["ee", "##ee", "##ee"])
    assert found.end[-1] == len(text)
    many = OffsetTokenizer(tokenizer)([text])
    assert many.ids.tolist() == found.ids
    tokenizer.save(tmp_path)
    stored = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    assert stored["model"]["max_input_chars_per_word"] == limit


def test_a_limit_beyond_all_machines() -> None:
    assert WordPiece(UNCASED, max_word_chars=10**30).tokenize("heron") == ["heron"]


def test_thirty_thousand_added_tokens(tmp_path: Path) -> None:
    added = [{"content": f"[E{number}]", "special": bool(number % 2)} for number in range(30_000)]
    vocab = Vocab([*UNCASED.tokens, *(str(token["content"]) for token in added)])
    WordPiece(vocab, added=added).save(tmp_path)

    tokenizer = read_tokenizer(tmp_path)

    assert tokenizer.tokenize("a[E29999] heron[E0]") == ["a", "[E29999]", "heron", "[E0]"]
    assert len(tokenizer.vocab) == len(UNCASED) + 30_000
