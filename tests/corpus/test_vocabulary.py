"""Trained vocabularies: the same in every process, whole, and read alike by other libraries."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from tokenizers import BertWordPieceTokenizer

from plainbert.corpus import vocabulary
from plainbert.corpus.vocabulary import SPECIALS, train_vocabulary
from plainbert.errors import DataError, UsageError
from plainbert.text.reader import read_tokenizer
from plainbert.text.vocab import Vocab

ROOT = Path(__file__).parents[2]
LANGUAGES = ROOT / "tests/fixtures/text/languages.txt"
SAMPLE = ROOT / "data/pretrain/en_novels_sample.txt"
NOVELS = SAMPLE.read_text(encoding="utf-8").splitlines()[:2500]
MANY = LANGUAGES.read_text(encoding="utf-8").splitlines()
KINDS = [("wordpiece", "unigram"), ("sentencepiece", "unigram"), ("sentencepiece", "bpe")]


@pytest.fixture(scope="module", params=KINDS, ids=["wordpiece", "unigram", "bpe"])
def trained(request, tmp_path_factory):
    kind, algorithm = request.param
    folder = tmp_path_factory.mktemp("trained")
    return kind, folder, train_vocabulary(NOVELS, 900, folder, kind, algorithm=algorithm)


def test_special_tokens_and_size(trained):
    kind, folder, tokenizer = trained
    tokens = tokenizer.vocab.tokens
    assert len(tokens) == 900
    assert tokens[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert all(tokens.count(token) == 1 for token in tokens)
    assert [
        getattr(tokenizer.vocab, f"{role}_id") for role in ("pad", "unk", "cls", "sep", "mask")
    ] == [0, 1, 2, 3, 4]
    own = {"vocab.txt"} if kind == "wordpiece" else {"spm.model"}
    assert set(os.listdir(folder)) == {*own, "tokenizer.json", "tokenizer_config.json"}


def test_nothing_of_the_text_is_unknown_and_the_folder_opens(trained):
    _, folder, tokenizer = trained
    again = read_tokenizer(folder)
    assert again.vocab == tokenizer.vocab
    assert again.lower is tokenizer.lower is True
    for line in NOVELS:
        ids = tokenizer.ids(line)
        assert 1 not in ids
        assert again.ids(line) == ids
        assert tokenizer.ids("[CLS] " + line)[0] == 2


def test_other_libraries_make_the_same_tokens(trained):
    kind, folder, tokenizer = trained
    whole = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for line in NOVELS[:300]:
        assert whole.encode(line, add_special_tokens=False).ids == tokenizer.ids(line)
    if kind == "wordpiece":
        google = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
        for line in NOVELS[:300]:
            assert google.encode(line, add_special_tokens=False).ids == tokenizer.ids(line)
    else:  # as GluonNLP's BERTVocab.from_sentencepiece looks at it
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
        special = [model.pad_id(), model.unk_id(), model.bos_id(), model.eos_id()]
        assert special == [0, 1, -1, -1]
        assert [model.id_to_piece(row) for row in range(5)] == list(SPECIALS)
        assert model.get_piece_size() == 900


def test_pieces_are_those_of_the_text(trained):
    """Frequent words are whole, and text takes far fewer pieces than letters."""
    kind, _, tokenizer = trained
    mark = "" if kind == "wordpiece" else "\u2581"
    assert all(f"{mark}{word}" in tokenizer.vocab for word in ("the", "and", "of", "to", "was"))
    letters = sum(len("".join(line.split())) for line in NOVELS)
    assert letters / sum(len(tokenizer.ids(line)) for line in NOVELS) > 2


PROGRAM = """
import sys
from pathlib import Path
from plainbert.corpus.vocabulary import train_vocabulary
lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
train_vocabulary(iter(lines), 1500, sys.argv[2], sys.argv[3], algorithm=sys.argv[4], lower=False)
"""


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
def test_the_same_in_every_process(tmp_path, kind, algorithm):
    found = set()
    for number in range(3):
        folder = tmp_path / str(number)
        threads = {"RAYON_NUM_THREADS": str(number + 1), "PYTHONHASHSEED": str(number)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(LANGUAGES), str(folder), kind, algorithm],
            env={**os.environ, "PYTHONPATH": str(ROOT), **threads}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        names = sorted(os.listdir(folder))
        found.add(hashlib.sha256(b"".join((folder / n).read_bytes() for n in names)).hexdigest())
    assert len(found) == 1


def test_case_is_kept_where_it_is_asked_for(tmp_path):
    tokenizer = train_vocabulary(NOVELS, 900, tmp_path, lower=False)
    assert "The" in tokenizer.vocab
    assert read_tokenizer(tmp_path).lower is False
    assert tokenizer.tokenize("The") == ["The"]


def test_many_alphabets(tmp_path, caplog):
    """Rare characters are left out before pairs are, and the log counts them."""
    tokenizer = train_vocabulary(MANY, 1000, tmp_path / "a")
    assert "characters, the rarest ones, are not in the vocabulary" in caplog.text
    ids = [token for line in MANY for token in tokenizer.ids(line)]
    few = ids.count(1) / len(ids)
    caplog.clear()
    larger = train_vocabulary(MANY, 3900, tmp_path / "b")
    assert "rarest" not in caplog.text
    assert 0 < few < 0.2
    assert all(1 not in larger.ids(line) for line in MANY)
    assert all(chr(code) in tokenizer.vocab for code in range(ord("0"), ord("9") + 1))
    assert "\u7684" in larger.vocab
    assert not {f"##{one}" for one in "\u7684,.!"} & set(larger.vocab.tokens)


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
def test_larger_than_the_text_allows(tmp_path, kind, algorithm):
    with pytest.raises(UsageError, match=r"the text gives (at most )?\d+ tokens, and 90000 were"):
        train_vocabulary(NOVELS, 90000, tmp_path, kind, algorithm=algorithm)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
def test_too_small_for_the_text(tmp_path, kind, algorithm):
    with pytest.raises(UsageError, match="100 are the least"):
        train_vocabulary(MANY, 99, tmp_path, kind)
    if kind == "sentencepiece":
        with pytest.raises(UsageError, match="100 tokens cannot hold all"):
            train_vocabulary(MANY, 100, tmp_path, kind, algorithm=algorithm)


@pytest.mark.parametrize("kind", ["wordpiece", "sentencepiece"])
@pytest.mark.parametrize("texts", [[], ["", " \n", "\t"]])
def test_no_text(tmp_path, kind, texts):
    with pytest.raises(DataError, match="no text"):
        train_vocabulary(texts, 200, tmp_path, kind)


def test_unknown_kind(tmp_path):
    with pytest.raises(UsageError, match="wordpiece and sentencepiece"):
        train_vocabulary(NOVELS, 200, tmp_path, "bytes")


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
def test_odd_text(tmp_path, kind, algorithm):
    """Long lines, endless words, control characters, half surrogates, special tokens as text."""
    odd = ["x" * 1_000_000, "\x00\x85\u2028 \ud800 [MASK] [CLS] ## <unk> <s> \u2581", "a\nb\rc"]
    tokenizer = train_vocabulary([*odd, " ".join(NOVELS)], 900, tmp_path, kind, algorithm=algorithm)
    assert tokenizer.vocab.tokens[:5] == SPECIALS
    assert all(1 not in tokenizer.ids(line) for line in NOVELS)
    assert read_tokenizer(tmp_path).vocab == tokenizer.vocab


def test_text_beyond_what_sentencepiece_keeps(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(vocabulary, "LINES", len(NOVELS) // 3)
    tokenizer = train_vocabulary(NOVELS, 500, tmp_path, "sentencepiece")
    assert "one of 4 lines" in caplog.text or "one of 3 lines" in caplog.text
    assert isinstance(tokenizer.vocab, Vocab)
