"""Files of an old GluonNLP installation are found by name and checked."""

from __future__ import annotations

import hashlib
import logging

import pytest

from plainbert.errors import CheckpointError
from plainbert.hub.gluonnlp_cache import old_files, old_folder
from plainbert.hub.record import Record
from plainbert.hub.records import by_name

PARAMS, VOCAB = b"weights" * 100_000, b'{"idx_to_token": []}'


def digits(content):
    return hashlib.sha1(content).hexdigest()[:8]


def record(dataset="toy_uncased", **changes):
    facts = {"params_sha1": digits(PARAMS), "vocab_sha1": digits(VOCAB), **changes}
    return Record("bert_2_16_2", dataset, None, True, 5, "MIT", "", **facts)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache that holds the files of :func:`record`."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / record().old_params).write_bytes(PARAMS)
    (tmp_path / "models" / record().old_vocab).write_bytes(VOCAB)
    return tmp_path / "models"


def test_names_are_gluonnlps():
    base = by_name("bert-base-uncased")
    assert base.old_params == "bert_12_768_12_book_corpus_wiki_en_uncased-75cc780f.params"
    assert base.old_vocab == "book_corpus_wiki_en_uncased-a6607397.vocab"
    korean = by_name("kobert")
    assert korean.old_vocab == "kobert_news_wiki_ko_cased-f86b1a83.spiece"
    assert by_name("baidu_ernie").old_params == (
        "ernie_12_768_12_baidu_ernie_uncased-f869f3f8.params"
    )
    assert by_name("bert-tiny").old_params is None


def test_folder_is_mxnets(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MXNET_HOME", raising=False)
    assert old_folder() == tmp_path / ".mxnet" / "models"
    monkeypatch.setenv("MXNET_HOME", "~/elsewhere")
    assert old_folder() == tmp_path / "elsewhere" / "models"


def test_both_files_are_found(folder):
    expected = (folder / record().old_params, folder / record().old_vocab)
    assert old_files(record()) == expected
    assert old_files(record(), root=folder) == expected


def test_another_folder_may_be_given(folder, tmp_path):
    assert old_files(record(), root=tmp_path / "nothing here") is None


def test_no_file_or_no_name_is_none(folder):
    assert old_files(by_name("bert-base-uncased")) is None
    assert old_files(by_name("bert-tiny")) is None
    (folder / record().old_params).unlink()
    assert old_files(record()) is None


def test_equal_vocabulary_of_another_data_set_does(folder):
    (folder / record().old_vocab).rename(folder / f"other_uncased-{digits(VOCAB)}.vocab")
    assert old_files(record())[1].name == f"other_uncased-{digits(VOCAB)}.vocab"


def test_weights_without_a_vocabulary_are_told_of(folder, caplog):
    caplog.set_level(logging.WARNING, logger="plainbert")
    (folder / record().old_vocab).unlink()
    assert old_files(record()) is None
    assert record().old_vocab in caplog.text


@pytest.mark.parametrize("name", ["old_params", "old_vocab"])
def test_changed_file_is_refused_and_both_numbers_told(folder, name):
    path = folder / getattr(record(), name)
    content = path.read_bytes()[:-1]  # cut off
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        old_files(record())
    message = str(caught.value)
    assert str(path) in message
    assert hashlib.sha1(content).hexdigest() in message
    assert path.stem[-8:] in message
