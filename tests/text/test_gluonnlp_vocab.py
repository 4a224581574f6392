"""GluonNLP's vocabulary files and its order of Google's words; the hashes are its own."""

from __future__ import annotations

import hashlib
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, UsageError
from plainbert.text import gluonnlp_vocab
from plainbert.text.vocab import Vocab
from tests.helpers.google import FIXTURES

SPECIALS = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]


def vocabulary(name: str) -> Vocab:
    if (path := FIXTURES / f"{name}.txt").is_file():
        return Vocab.from_txt(path)
    return Vocab(lzma.open(FIXTURES / f"{name}.txt.xz", "rt", newline="\n").read().split("\n")[:-1])


def as_published(name: str) -> str:
    """GluonNLP's file of one of Google's first vocabularies, as its server had it."""
    google = [token.strip() for token in vocabulary(name).tokens]
    order = gluonnlp_vocab.gluonnlp_order(google)
    rows = gluonnlp_vocab.inverse(order)
    return json.dumps({
        "idx_to_token": [google[row] for row in order],
        "token_to_idx": {token: int(rows[row]) for row, token in enumerate(google)},
        "reserved_tokens": ["[PAD]", "[CLS]", "[SEP]", "[MASK]"], "unknown_token": "[UNK]",
        "padding_token": "[PAD]", "bos_token": None, "eos_token": None, "mask_token": "[MASK]",
        "sep_token": "[SEP]", "cls_token": "[CLS]",
    })  # fmt: skip


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode("ascii")).hexdigest()


def test_real_file() -> None:
    path = FIXTURES / "gluonnlp_vocab.json"
    assert gluonnlp_vocab.to_json(Vocab.read(path)) == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # scibert_basevocab_uncased, clinicalbert_uncased, distilbert_book_corpus_wiki_en_uncased
        ("uncased", "80ef760a6bdafec68c99b691c94ebbb918c90d02"),
        # scibert_basevocab_cased, biobert_*
        ("cased", "a4ff6fe1f85ba95f3010742b9abc3a818976bb2c"),
    ],
)
def test_files_of_the_model_zoo_in_googles_order(name: str, published: str) -> None:
    assert sha1(gluonnlp_vocab.to_json(vocabulary(name))) == published


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("chinese", "ddebd8f3867bca5a61023f73326fb125cf12b4f5"),
        ("multilingual_cased", "0247cb442074237c38c62021f36b7a4dbd2e55f7"),
    ],
)
def test_files_of_the_model_zoo_in_gluonnlps_order(name: str, published: str) -> None:
    """Of wiki_cn_cased and wiki_multilingual_cased.

    The conversions of Google's own models were written before GluonNLP 0.7, blanks stripped.
    """
    assert sha1(as_published(name)) == published


@pytest.mark.parametrize("name", ["uncased", "cased", "chinese"])
def test_order(name: str) -> None:
    google = vocabulary(name)
    order = gluonnlp_vocab.gluonnlp_order(google)
    moved = gluonnlp_vocab.reordered(google, order)
    assert list(moved.tokens[:5]) == SPECIALS
    assert sorted(order) == list(range(len(google)))
    ids = np.array([[google.id("[CLS]"), google.id("a"), google.id("[PAD]")], [5, 200, 104]])
    there = gluonnlp_vocab.to_gluonnlp(ids.astype("int32"), order)
    assert there.dtype == np.int32
    for mine, theirs in zip(ids.flat, there.flat, strict=True):
        assert google.token(int(mine)) == moved.token(int(theirs))
    assert (gluonnlp_vocab.to_google(there, order) == ids).all()
    matrix = np.arange(len(google))
    assert (matrix[order][gluonnlp_vocab.inverse(order)] == matrix).all()
    assert np.count_nonzero(order != matrix) <= 10


@pytest.mark.parametrize("name", ["uncased", "cased", "chinese", "multilingual_cased"])
def test_back_to_googles_order(name: str) -> None:
    google = vocabulary(name)
    order = gluonnlp_vocab.gluonnlp_order(google)
    moved = gluonnlp_vocab.reordered(google, order)

    back = gluonnlp_vocab.google_order(moved)

    assert back.tolist() == gluonnlp_vocab.inverse(order).tolist()
    assert gluonnlp_vocab.reordered(moved, back).tokens == google.tokens
    with pytest.raises(CheckpointError, match="does not begin with"):
        gluonnlp_vocab.google_order(google)


def test_displaced_tokens_move_on() -> None:
    """[PAD], which [UNK] displaced, is itself looked for where it went."""
    order = gluonnlp_vocab.gluonnlp_order(["[PAD]", "[MASK]", "[UNK]", "[SEP]", "[CLS]", "a"])
    # [UNK] <-> 0, then [PAD] (now 2) <-> 1, [CLS] <-> 2, [SEP] stays, [MASK] (now 4) stays
    assert order.tolist() == [2, 0, 4, 3, 1, 5]


def test_missing_special_tokens() -> None:
    with pytest.raises(CheckpointError, match="no mask token"):
        gluonnlp_vocab.gluonnlp_order(SPECIALS[:4] + ["a"])
    with pytest.raises(CheckpointError, match="share rows"):
        gluonnlp_vocab.gluonnlp_order(Vocab(SPECIALS, {"unk": "[PAD]"}))


@pytest.mark.parametrize("ids", [[0, 7], [-1], [[1 << 40]]])
def test_ids_outside(ids: list[int]) -> None:
    order = gluonnlp_vocab.gluonnlp_order([*reversed(SPECIALS), "a", "b"])
    for function in (gluonnlp_vocab.to_google, gluonnlp_vocab.to_gluonnlp):
        with pytest.raises(UsageError, match="has rows 0 to 6"):
            function(np.array(ids), order)


def test_other_ids() -> None:
    order = gluonnlp_vocab.gluonnlp_order(SPECIALS)
    assert gluonnlp_vocab.to_google(np.zeros((0, 3), "int64"), order).shape == (0, 3)
    assert gluonnlp_vocab.to_google(np.array([4], "uint8"), order).dtype == np.uint8
    with pytest.raises(UsageError, match="float32"):
        gluonnlp_vocab.to_google(np.zeros(2, "float32"), order)


@pytest.mark.parametrize("name", ["cased", "chinese"])
def test_written_and_read_again(tmp_path: Path, name: str) -> None:
    vocab = vocabulary(name)
    gluonnlp_vocab.write(tmp_path / "x.vocab", vocab)
    assert Vocab.read(tmp_path / "x.vocab") == vocab


def test_unusual_tokens() -> None:
    plain = json.loads(gluonnlp_vocab.to_json(Vocab(["<unk>", "b", "a", "<cls>"])))
    assert plain["reserved_tokens"] == ["<cls>"]
    assert list(plain["token_to_idx"].items()) == [("<unk>", 0), ("<cls>", 3), ("a", 2), ("b", 1)]
    assert plain["identifiers_to_tokens"]["mask_token"] is None
    assert json.loads(gluonnlp_vocab.to_json(Vocab(["[UNK]"])))["reserved_tokens"] is None
    with pytest.raises(CheckpointError, match="'a' fills several rows"):
        gluonnlp_vocab.to_json(Vocab([*SPECIALS, "a", "a"]))
    with pytest.raises(CheckpointError, match="no unk token"):
        gluonnlp_vocab.to_json(Vocab(["a"]))
