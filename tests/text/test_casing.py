"""Whether to lower-case, from the letters of a vocabulary and the names of files."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from plainbert.errors import UsageError
from plainbert.text import casing
from plainbert.text.reader import read_tokenizer
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.vocab import Vocab
from tests.helpers import google

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "<S>"]


@pytest.mark.parametrize(
    ("name", "lower"), [("uncased.txt", True), ("cased.txt", False), ("chinese.txt", True)]
)
def test_published_vocabularies(name: str, lower: bool) -> None:
    assert casing.of_tokens(Vocab.read(google.FIXTURES / name).tokens) is lower


def test_the_multilingual_vocabulary_is_cased() -> None:
    packed = google.FIXTURES / "multilingual_cased.txt.xz"
    tokens = lzma.decompress(packed.read_bytes()).decode("utf-8").split("\n")

    assert casing.of_tokens(tokens) is False


@pytest.mark.parametrize(
    ("tokens", "lower"),
    [
        (["a", "##b"], True),
        (["a", "B"], False),
        (["##É"], False),
        (["ǅ"], False),
        (["𝐀", "a"], True),  # a symbol that lower-casing leaves as it is
        (["[E1]", "[/E1]", "<B>", "a"], True),
        (["猫", "पट", "1"], None),
        ([], None),
    ],
)
def test_by_the_letters_outside_brackets(tokens: list[str], lower: bool | None) -> None:
    assert casing.of_tokens([*SPECIALS, *tokens]) is lower


@pytest.mark.parametrize(
    ("names", "lower"),
    [
        (["bert-base-uncased"], True),
        (["BERT-Base-Cased"], False),
        (["multi_cased_L-12_H-768_A-12"], False),
        (["multilingual_L-12_H-768_A-12"], True),
        (["chinese_L-12_H-768_A-12"], True),
        (["wiki_multilingual_cased"], False),
        (["encased", "vocab.txt"], None),
        (["uncased", "cased"], None),
        (["vocab.txt", "book_corpus_wiki_en_uncased-a6607397"], True),
    ],
)
def test_by_names(names: list[str], lower: bool | None) -> None:
    assert casing.of_names(names) is lower


def folder(path: Path, *tokens: str) -> Path:
    path.mkdir()
    (path / "vocab.txt").write_text("\n".join([*SPECIALS, *tokens]) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "token", "lower"),
    [
        ("model", "a", True),
        ("model", "A", False),
        ("bert-uncased", "a", True),
        ("bert-cased", "A", False),
        ("bert-uncased", "1", True),
        ("bert-cased", "1", False),
    ],
)
def test_a_folder_without_settings(tmp_path: Path, name: str, token: str, lower: bool) -> None:
    assert read_tokenizer(folder(tmp_path / name, token)).lower is lower


def test_a_download_cache_names_the_model(tmp_path: Path) -> None:
    place = tmp_path / "models--org--name-cased" / "snapshots"
    place.mkdir(parents=True)

    assert read_tokenizer(folder(place / "0123", "1")).lower is False


@pytest.mark.parametrize(
    ("name", "token", "facts"),
    [
        ("bert-cased", "a", "'bert-cased' says cased; the vocabulary has no upper-case letter"),
        ("bert-uncased", "A", "'bert-uncased' says uncased; the vocabulary has an upper-case"),
        ("model", "1", "says not whether it is uncased"),
    ],
)
def test_only_disagreement_and_silence_ask(
    tmp_path: Path, name: str, token: str, facts: str
) -> None:
    place = folder(tmp_path / name, token)

    with pytest.raises(UsageError, match="--do_lower_case true") as error:
        read_tokenizer(place)

    assert facts in str(error.value)
    assert read_tokenizer(place, lower=True).lower is True
    assert read_tokenizer(place, lower=False).lower is False


@pytest.mark.parametrize("lower", [True, False])
def test_pieces_that_lower_casing_never_uses(lower: bool, caplog: pytest.LogCaptureFixture) -> None:
    SentencePiece(google.FIXTURES / "unigram1000.model", lower=lower)

    assert ("has upper-case letters" in caplog.text) is lower


def test_what_is_stated_is_not_looked_up(tmp_path: Path) -> None:
    place = folder(tmp_path / "bert-uncased", "a")
    assert read_tokenizer(place, published=False).lower is False
    (place / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert read_tokenizer(place, published=True).lower is False
