"""Conversions say which settings of the tokenizer the other format cannot hold, and only those."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from plainbert import checkpoint
from plainbert.export import bundle
from plainbert.export.source import source_of
from plainbert.export.torch.format import TorchFormat
from plainbert.formats.names import FORMATS
from plainbert.model_zoo import open_folder
from plainbert.model_zoo.convert import convert, open_any
from plainbert.recipes import convert_checkpoint
from plainbert.text.reader import read_tokenizer, tokenizer_at
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers.folders import TOKENS, tiny

ADDED = [{"content": "the cat", "special": False}, {"content": "[E1]", "special": True}]
KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "cased": {"lower": False},
    "stripped as usual": {"strip_accents": True},
    "accents kept": {"strip_accents": False},
    "accents stripped": {"lower": False, "strip_accents": True},
    "ideographs together": {"split_cjk": False},
    "longer words": {"max_word_chars": 200},
    "shorter words": {"max_word_chars": 7},
    "added": {"added": ADDED},
    "named": {"specials": {"cls": "b", "mask": "[MASK]"}},
}
FACTS = ("lower", "accents", "cjk", "longest", "added", "specials")
WORDS = {  # what a line begins with or holds, by the fact that is lost
    "accents": "strip_accents=",
    "cjk": "tokenize_chinese_chars=False",
    "longest": "the longest word, ",
    "added": "added tokens (",
    "specials": "the cls token 'b'",
}


def made(kind: str) -> WordPiece:
    settings = dict(KINDS[kind])
    tokens = [*TOKENS, *(token["content"] for token in settings.get("added", ()))]
    return WordPiece(Vocab(tokens, settings.pop("specials", None)), **settings)


def facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Whatever changes the ids of a text, beside the tokens."""
    assert isinstance(tokenizer, WordPiece)
    strip = tokenizer.lower if tokenizer.strip_accents is None else tokenizer.strip_accents
    added = [token["content"] for token in tokenizer.added]
    values = (tokenizer.lower, strip, tokenizer.split_cjk, tokenizer.max_word_chars, added)
    return dict(zip(FACTS, (*values, tokenizer.vocab.specials), strict=True))


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_another_reader_does_not_find_is_said(tmp_path: Path, kind: str, target: str) -> None:
    tokenizer = made(kind)
    model = tiny(vocab_size=len(tokenizer.vocab))
    source = checkpoint.write(tmp_path / "source", model, tokenizer)

    done = convert(open_any(source), tmp_path / "there", target)

    before, after = facts(tokenizer), facts(open_any(done.folder).tokenizer)
    lost = [fact for fact in FACTS if before[fact] != after[fact]]
    assert len(done.lost) == len(lost), done.lost
    for fact in lost:
        assert any(WORDS[fact] in line for line in done.lost), (fact, done.lost)
    assert [line for line in done.report() if line.startswith(f"no place in {target}: ")] == [
        f"no place in {target}: {line}" for line in done.lost
    ]
    assert not lost or target != "huggingface"


def test_the_command_says_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "plainbert")
    tokenizer = made("added")
    checkpoint.write(tmp_path / "source", tiny(vocab_size=len(tokenizer.vocab)), tokenizer)

    convert_checkpoint.main(
        ["--from", str(tmp_path / "source"), "--to", str(tmp_path / "there"),
         "--format", "tensorflow"]
    )  # fmt: skip

    assert "no place in tensorflow: 2 added tokens (the cat, [E1]): they keep" in caplog.text


@pytest.mark.parametrize("lower", [None, True])
def test_a_vocabulary_whose_tokenizer_lies_beside_it(tmp_path: Path, lower: bool | None) -> None:
    for kind in KINDS:
        tokenizer = made(kind)
        tokenizer.save(tmp_path)
        if lower in (None, tokenizer.lower):
            read = tokenizer_at(tmp_path / "vocab.txt", lower, max_word_chars=200)
            assert facts(read) == facts(tokenizer), kind


def test_the_files_of_mxnet_with_their_tokenizer(tmp_path: Path) -> None:
    """As an export lies: weights of GluonNLP, the casing in config.json, our tokenizer."""
    tokenizer = made("added")
    model = tiny(vocab_size=len(tokenizer.vocab))
    done = convert(
        open_any(checkpoint.write(tmp_path / "source", model, tokenizer)),
        tmp_path / "out",
        "gluonnlp",
    )
    (done.folder / "model.vocab").unlink()
    tokenizer.save(done.folder)

    assert facts(open_any(done.folder, format="gluonnlp").tokenizer) == facts(tokenizer)


def test_an_export_holds_all(tmp_path: Path) -> None:
    settings = {"max_word_chars": 7, "added": ADDED, "strip_accents": False, "split_cjk": False}
    tokenizer = WordPiece(Vocab([*TOKENS, "the cat", "[E1]"], {"cls": "b"}), **settings)
    source = tmp_path / "source"
    checkpoint.write(source, tiny(vocab_size=len(tokenizer.vocab)), tokenizer)

    bundle.export(
        source_of(open_folder(source), "m"), tmp_path / "out", TorchFormat(), texts=[("the cat",)]
    )

    exported = read_tokenizer(tmp_path / "out")
    assert facts(exported) == facts(tokenizer)
    assert exported.ids("the cat [E1] é中") == tokenizer.ids("the cat [E1] é中")
