"""``BertEmbedding`` as GluonNLP documents it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from plainbert import checkpoint
from plainbert.errors import UnknownNameError, UsageError
from plainbert.nn.bert import Bert
from plainbert.tasks.embedding.word_table import word_table
from plainbert.tasks.embedding.words import BertEmbedding
from plainbert.text.wordpiece import WordPiece
from tests.helpers.rounding import rounding, terms_of

SENTENCE = "Unaffable herons, we [UNK] sat!"
WORDS = ["unaffable", "herons", ",", "we", "[UNK]", "sat", "!"]
PIECES = [3, 2, 1, 1, 1, 1, 1]  # of each word


@pytest.fixture
def folder(bert: Bert, tokenizer: WordPiece, tmp_path: Path) -> Path:
    return checkpoint.write(tmp_path / "model", bert, tokenizer)


@pytest.mark.parametrize("oov_way", ["avg", "sum", "last"])
def test_words_and_their_vectors(
    folder: Path, bert: Bert, tokenizer: WordPiece, oov_way: str
) -> None:
    be = BertEmbedding(params_path=folder)
    [(empty, none), (words, vectors)] = be(["", SENTENCE], oov_way=oov_way)
    assert (empty, none) == ([], [])
    assert words == WORDS
    vocab = tokenizer.vocab
    ids = [vocab.cls_id, *tokenizer.ids(SENTENCE), vocab.sep_id]
    with torch.no_grad():
        hidden = bert(torch.tensor([ids])).hidden[0, 1:-1].numpy()
    atol = rounding(terms_of(bert.config), hidden)
    parts = np.split(hidden, np.cumsum(PIECES)[:-1])
    merge = {"avg": lambda x: x.mean(0), "sum": lambda x: x.sum(0), "last": lambda x: x[-1]}
    assert len(vectors) == len(parts)
    for vector, part in zip(vectors, parts, strict=True):
        assert vector.dtype == np.float32
        times = len(part) if oov_way == "sum" else 1
        np.testing.assert_allclose(vector, merge[oov_way](part), rtol=0, atol=times * atol)


def test_cut_at_the_limit_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    be = BertEmbedding(params_path=folder, max_seq_length=6)
    with caplog.at_level(logging.WARNING, "plainbert"):
        [(words, vectors)] = be([SENTENCE])
    assert words == ["unaffable", "heron"]
    assert len(vectors) == 2
    assert "1 of 1 rows were longer than 6 tokens" in caplog.text


def test_oov_drops_special_tokens_wherever_they_are(folder: Path, tokenizer: WordPiece) -> None:
    be = BertEmbedding(params_path=folder)
    vocab = be.vocab
    assert (vocab.cls_id, vocab.sep_id, vocab.pad_id) == (4, 2, 0)  # not GluonNLP's 2, 3, 1
    ids = [vocab.cls_id, *be.tokenizer.ids("the heron"), vocab.sep_id, vocab.pad_id]
    [(words, vectors)] = be.oov([(ids, np.eye(5, dtype=np.float32))], "sum")
    assert words == ["the", "heron"]
    assert np.stack(vectors).argmax(1).tolist() == [1, 2]


def test_data_loader(folder: Path) -> None:
    be = BertEmbedding(params_path=folder, batch_size=2)
    loaded = list(be.data_loader(["the heron", "a", "we sat by"]))
    assert [batch[1].tolist() for batch in loaded] == [[4, 3], [5]]
    assert loaded[0][0][1].tolist() == [4, be.vocab.id("a"), 2, 0]
    rows = [row for batch in be.data_loader(["a"] * 5, shuffle=True) for row in batch[0]]
    assert len(rows) == 5


def test_mistakes(folder: Path) -> None:
    with pytest.raises(UsageError, match="max_seq_length=99"):
        BertEmbedding(params_path=folder, max_seq_length=99)
    be = BertEmbedding(params_path=folder, max_seq_length=24)
    with pytest.raises(UnknownNameError, match="no oov_way is named 'mean'"):
        be(["a"], oov_way="mean")
    with pytest.raises(UsageError, match="one string"):
        be("a")


def test_a_table_of_words() -> None:
    words = ["heron", "蒼鷺", "a"]
    vectors = [np.array([3.0, -4.0, *[0.0] * 6], np.float32), np.ones(8, np.float32)]
    table = word_table(words, [*vectors, np.arange(2, dtype=np.float32)])
    assert table.splitlines() == [
        "word   dims    norm  vector",
        "heron     8  5.0000  [ 3.0000 -4.0000  0.0000 ...  0.0000  0.0000  0.0000]",
        "蒼鷺      8  2.8284  [ 1.0000  1.0000  1.0000 ...  1.0000  1.0000  1.0000]",
        "a         2  1.0000  [ 0.0000  1.0000]",
    ]
