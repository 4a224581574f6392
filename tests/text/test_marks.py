"""Ends of tokens, with the marks that a reader takes for part of the letter before."""

from __future__ import annotations

import ast
import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.tasks.ner.decode import decode as decode_tags
from plainbert.tasks.ner.features import prepare as prepare_words
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.ner.words import split
from plainbert.tasks.squad.data import GoldAnswer, Question
from plainbert.tasks.squad.decode import Search, decode
from plainbert.tasks.squad.windows import prepare
from plainbert.text.marks import MARKS, whole_ends
from plainbert.text.offsets import OffsetTokenizer
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import google

TEXT = google.FIXTURES
PACKAGE = Path(__file__).resolve().parents[2] / "plainbert"
UNCASED = WordPiece(Vocab.read(TEXT / "uncased.txt"))
CASED = WordPiece(Vocab.read(TEXT / "cased.txt"), lower=False)
TOKENIZERS: dict[str, Tokenizer] = {
    "uncased": UNCASED,
    "cased": CASED,
    "accents kept": WordPiece(Vocab.read(TEXT / "chinese.txt"), strip_accents=False),
    "unigram": SentencePiece(TEXT / "unigram1000.model"),
    "bpe, cased": SentencePiece(TEXT / "bpe1000.model", lower=False),
    "added tokens": WordPiece(UNCASED.vocab, added=[{"content": "heron", "special": False}]),
}
# (text, words of it from whose tokens they must come out whole)
WORDS = [
    ("वह पटने से आया था", ["पटने", "से", "था"]),
    ("จัด ทุก ปี ที่ริมน้ำ", ["ปี", "ทุก", "ที่ริมน้ำ"]),
    ("הוא גר בְּיָפוֹ כל", ["בְּיָפוֹ"]),
    ("مدينةِ حلبَ في", ["حلبَ", "مدينةِ"]),
    ("dit-elle au cafe\u0301 ferme\u0301.", ["cafe\u0301", "ferme\u0301"]),
    ("won with 👩\u200d🚀 and ❤\ufe0f, 1\ufe0f\u20e3", ["👩\u200d🚀", "❤\ufe0f", "1\ufe0f\u20e3"]),
    ("हिन्दी क्\u200d है", ["हिन्दी", "क्\u200d", "है"]),
    ("葛\U000e0100城の", ["葛\U000e0100"]),
    ("flag 🏴\U000e0067\U000e0062\U000e007f up", ["🏴\U000e0067\U000e0062\U000e007f"]),
    ("a\u0301 \u0301b", ["a\u0301"]),
]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(("text", "words"), WORDS)
def test_words_end_with_their_marks(kind: str, text: str, words: list[str]) -> None:
    found = TOKENIZERS[kind].pieces(text)

    for word in words:
        begin = text.index(word)
        spans = zip(found.start, found.end, strict=True)
        assert max(end for start, end in spans if begin <= start < begin + len(word)) == (
            begin + len(word)
        )


def test_a_mark_that_nothing_stands_before_belongs_to_nothing() -> None:
    found = UNCASED.pieces("\u0301the \u0301cat \u200d ,\u0301")

    assert list(zip(found.start, found.end, strict=True)) == [(1, 4), (6, 9), (12, 14)]


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=100, deadline=None)
@given(
    text=st.text(
        st.sampled_from(
            "abइ का्ेंปีيָא \u0301\u0308\u20e3\ufe0f\u200d\u200c👩🚀葛\U000e0100é.▁ﬁ㎞\u200b"
        )
        | st.characters(codec="utf-8"),
        max_size=20,
    )
)
def test_any_text_against_a_slow_version(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    _, bare = tokenizer._offsets(text)

    found = tokenizer.pieces(text)

    assert list(zip(found.start, found.end, strict=True)) == google.whole(text, bare)
    many = OffsetTokenizer(tokenizer)([text, "the", text])
    if kind != "added tokens":
        assert many.end[: len(found)].tolist() == found.end


def test_two_tokens_of_one_character_end_alike() -> None:
    assert whole_ends("\ufb01\u0301x", [0, 0, 2], [1, 1, 3]) == [2, 2, 3]
    assert whole_ends("ab\u0301", [0, 1, 3], [1, 2, 3]) == [1, 3, 3]


def test_every_mark_of_unicode_is_known() -> None:
    known = re.compile(f"[{MARKS}]")
    for code in range(sys.maxunicode + 1):
        mark = unicodedata.category(chr(code)).startswith("M")
        assert bool(known.match(chr(code))) == mark, hex(code)


def test_places_leave_tokenizers_in_one_way() -> None:
    """Bare places are asked for in :meth:`Tokenizer.pieces` alone, which makes their ends whole."""
    asked = [
        (path.name, node.lineno)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "_offsets"
    ]
    assert [name for name, _ in asked] == ["tokenizer.py"], asked
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "text":  # nobody else holds the library's tokenizer
            assert not re.search(r"\._backend\b", path.read_text("utf-8")), path


def test_patterns_of_words_know_marks() -> None:
    """Python's classes of word characters leave marks out: words of Hindi would fall apart."""
    modules = [
        path for room in ("tasks", "corpus", "text") for path in (PACKAGE / room).rglob("*.py")
    ]
    patterns = [path for path in modules if re.search(r"\\[wW]", path.read_text("utf-8"))]
    assert {path.name for path in patterns} >= {"punctuation.py", "scores.py"}
    for path in patterns:
        assert "from plainbert.text.marks import" in path.read_text("utf-8"), path


def questions() -> list[Question]:
    content = json.loads((TEXT.parent / "squad" / "marks.json").read_text("utf-8"))
    return [
        Question(
            qa["id"],
            qa["question"],
            paragraph["context"],
            tuple(GoldAnswer(one["text"], one["answer_start"]) for one in qa["answers"]),
        )
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


@pytest.mark.parametrize("kind", ["uncased", "cased", "accents kept"])
def test_answers_come_back_as_they_were_marked(kind: str) -> None:
    asked = questions()
    windows = prepare(TOKENIZERS[kind], asked, labelled=True)
    logits = np.zeros((len(windows.features.ids), 2))
    labels = windows.features.labels
    assert labels is not None
    for row, (first, last) in enumerate(labels.tolist()):
        logits[windows.features.offsets[row] + first, 0] = 9
        logits[windows.features.offsets[row] + last, 1] = 9

    answers = decode(logits, windows, asked, Search())

    assert [answer.text for answer in answers] == [one.answers[0].text for one in asked]
    assert len(answers) == 10
    for answer, question in zip(answers, asked, strict=True):
        assert question.context[answer.start : answer.end] == answer.text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_entities_come_back_whole(kind: str) -> None:
    tokenizer, tags = TOKENIZERS[kind], TagSet(("O", "B-LOC", "I-LOC"), "iob2")
    asked = questions()
    texts = [split(tokenizer, question.context) for question in asked]
    features = prepare_words(tokenizer, [text.words for text in texts], 128)
    logits = np.zeros((len(features.features.ids), 3), np.float32)
    flat = iter(features.first.tolist())
    for text, question in zip(texts, asked, strict=True):
        (gold,) = question.answers
        begun = 0
        for (start, _), place in zip(text.offsets, flat, strict=False):
            if gold.start <= start < gold.end:
                logits[place, 1 + begun] = 9
                begun = 1
            else:
                logits[place, 0] = 9

    found = decode_tags(logits, features, texts, tags)

    spelled = [[entity.text for entity in tagging.entities] for tagging in found]
    assert spelled == [[question.answers[0].text] for question in asked]
