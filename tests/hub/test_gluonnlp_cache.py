"""Files of an old GluonNLP installation are found by name and checked."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest

import plainbert
from plainbert import checkpoint
from plainbert.errors import CheckpointError, DownloadError
from plainbert.hub.gluonnlp_cache import old_files, old_folder, old_vocabulary
from plainbert.hub.record import Record
from plainbert.hub.records import by_name, trained_on
from plainbert.model_zoo import convert, open_folder
from plainbert.model_zoo.stored import vocabulary_of
from plainbert.recipes import (
    create_pretraining_data,
    export,
    finetune_classifier,
    run_pretraining,
)
from plainbert.text.reader import read_tokenizer
from tests.helpers import folders
from tests.text.test_gluonnlp_vocab import as_published, vocabulary

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


def test_a_vocabulary_without_its_weights(folder):
    (folder / record().old_params).unlink()
    assert old_files(record()) is None
    assert old_vocabulary(record()) == folder / record().old_vocab
    (folder / record().old_vocab).rename(folder / f"other_uncased-{digits(VOCAB)}.vocab")
    assert old_vocabulary(record()).name == f"other_uncased-{digits(VOCAB)}.vocab"
    assert old_vocabulary(by_name("bert-tiny")) is None
    (folder / f"other_uncased-{digits(VOCAB)}.vocab").write_bytes(b"changed")
    with pytest.raises(CheckpointError, match="cut off or changed"):
        old_vocabulary(record())


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine without a network, with the vocabulary of wiki_cn_cased from GluonNLP's days."""
    home = tmp_path / "mxnet"
    (home / "models").mkdir(parents=True)
    path = home / "models" / trained_on("wiki_cn_cased").old_vocab
    path.write_text(as_published("chinese"), "ascii")
    monkeypatch.setenv("MXNET_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return path


def test_its_vocabulary_is_opened_in_the_order_that_is_needed(offline):
    google = [token.strip() for token in vocabulary("chinese").tokens]
    ours = vocabulary_of(trained_on("wiki_cn_cased"))
    theirs = vocabulary_of(trained_on("wiki_cn_cased"), format="gluonnlp")

    assert list(ours.vocab.tokens) == google
    assert list(theirs.vocab.tokens) == json.loads(offline.read_text("ascii"))["idx_to_token"]
    assert (ours.lower, theirs.lower) == (False, False)
    assert ours.tokenize("A鹭fishing") == theirs.tokenize("A鹭fishing")


def test_without_it_the_error_names_the_file(offline):
    offline.unlink()
    with pytest.raises(DownloadError) as caught:
        vocabulary_of(trained_on("wiki_cn_cased"))
    assert f"GluonNLP's files  {offline}: not there" in str(caught.value)
    assert "HF_HUB_OFFLINE is set" in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 160 + len(str(offline))


@pytest.fixture
def bare(offline, tmp_path):
    """An old classifier: a file of weights alone, whose vocabulary lay in GluonNLP's cache."""
    theirs = vocabulary_of(trained_on("wiki_cn_cased"), format="gluonnlp")
    model = folders.tiny(vocab_size=len(theirs.vocab), hidden_size=64, num_attention_heads=1)
    checkpoint.write(tmp_path / "ours", model, theirs)
    convert.convert(convert.open_any(tmp_path / "ours"), tmp_path / "there", "gluonnlp")
    (params,) = (tmp_path / "there").glob("*.params")
    return params.rename(tmp_path / "model_bert_XNLI_3.params")


OF_THE_CACHE = ("--dataset_name", "wiki_cn_cased", "--gpus", "")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("我们在河边坐着\n一只鹭在捕鱼\n\n明天会下雨\n后天也是\n", "utf-8")
    return path


def test_pretraining_data_of_its_vocabulary(offline, text, tmp_path):
    create_pretraining_data.main(
        ["--input_file", str(text), "--output_dir", str(tmp_path / "shards"),
         "--dataset_name", "wiki_cn_cased", "--max_seq_length", "32",
         "--num_workers", "0", "--max_predictions_per_seq", "3"]
    )  # fmt: skip
    assert (tmp_path / "shards" / "vocab.txt").read_text("utf-8").split("\n")[100:104] == [
        "[UNK]", "[CLS]", "[SEP]", "[MASK]"
    ]  # fmt: skip


def test_a_bare_classifier_is_opened(bare):
    opened = open_folder(bare, dataset_name="wiki_cn_cased")
    theirs = vocabulary_of(trained_on("wiki_cn_cased"), format="gluonnlp")
    assert opened.tokenizer.vocab.tokens == theirs.vocab.tokens
    assert opened.head == "classification"


def test_a_bare_classifier_is_exported(bare, tmp_path):
    out = tmp_path / "out"
    export.main(["--model_parameters", str(bare), "--output_dir", str(out), *OF_THE_CACHE])
    ours = vocabulary_of(trained_on("wiki_cn_cased"))
    assert read_tokenizer(out).tokenize("一只鹭在") == ours.tokenize("一只鹭在")


def test_a_bare_classifier_predicts(bare, tmp_path):
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\n我们在河边坐着\n一只鹭\n", "utf-8")
    out = tmp_path / "out"
    finetune_classifier.main(
        ["--model_parameters", str(bare), "--only_inference", "--test_file", str(rows),
         "--text_columns", "text", "--output_dir", str(out), *OF_THE_CACHE]
    )  # fmt: skip
    right = plainbert.load(tmp_path / "ours", device="cpu").predict(["我们在河边坐着", "一只鹭"])
    lines = (out / "table.tsv").read_text().splitlines()[1:]
    classes = [folders.LABELS.index(prediction.label) for prediction in right]
    assert [line.split("\t")[1] for line in lines] == [f"LABEL_{row}" for row in classes]


def test_pretraining_from_scratch_with_its_vocabulary(offline, text, tmp_path):
    out = tmp_path / "run"
    run_pretraining.main(
        ["--raw", "--data", str(text), "--model", "bert_1_8_1", "--num_steps", "1", "--ckpt_dir",
         str(out), "--max_seq_length", "16", "--batch_size", "2", *OF_THE_CACHE]
    )  # fmt: skip
    ours = vocabulary_of(trained_on("wiki_cn_cased"))
    assert read_tokenizer(out / "last").vocab.tokens == ours.vocab.tokens
