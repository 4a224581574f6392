"""The records agree with themselves and with what GluonNLP published."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plainbert.config import BertConfig
from plainbert.errors import UnknownNameError
from plainbert.hub import records

# Name, vocabulary size, lower-casing: from the documentation of GluonNLP's model zoo.
PUBLISHED = {
    ("bert_12_768_12", "book_corpus_wiki_en_uncased"): (30522, True),
    ("bert_12_768_12", "book_corpus_wiki_en_cased"): (28996, False),
    ("bert_24_1024_16", "book_corpus_wiki_en_uncased"): (30522, True),
    ("bert_24_1024_16", "book_corpus_wiki_en_cased"): (28996, False),
    ("bert_12_768_12", "wiki_multilingual_uncased"): (105879, True),
    ("bert_12_768_12", "wiki_multilingual_cased"): (119547, False),
    ("bert_12_768_12", "wiki_cn_cased"): (21128, False),
    ("bert_12_768_12", "scibert_scivocab_uncased"): (31090, True),
    ("bert_12_768_12", "scibert_scivocab_cased"): (31116, False),
    ("bert_12_768_12", "scibert_basevocab_uncased"): (30522, True),
    ("bert_12_768_12", "scibert_basevocab_cased"): (28996, False),
    ("bert_12_768_12", "biobert_v1.0_pmc_cased"): (28996, False),
    ("bert_12_768_12", "biobert_v1.0_pubmed_cased"): (28996, False),
    ("bert_12_768_12", "biobert_v1.0_pubmed_pmc_cased"): (28996, False),
    ("bert_12_768_12", "biobert_v1.1_pubmed_cased"): (28996, False),
    ("bert_12_768_12", "clinicalbert_uncased"): (30522, True),
}


@pytest.mark.parametrize(("key", "facts"), PUBLISHED.items(), ids=lambda value: str(value))
def test_every_gluonnlp_data_set_has_its_record(key, facts):
    record = records.find(*key)
    assert (record.vocab_size, record.lower) == facts
    assert record.lower == ("uncased" in record.dataset_name)


def test_there_is_nothing_else_but_minilm():
    others = {(each.model, each.dataset_name) for each in records.RECORDS} - set(PUBLISHED)
    assert others == {("bert_6_384_12", "all_minilm_l6_v2")}


def test_sizes_are_sizes_and_names_are_unique():
    names = [name.casefold() for record in records.RECORDS for name in record.names]
    assert len(names) == len(set(names))
    for record in records.RECORDS:
        assert BertConfig.from_name(record.model).size_name == record.model


@pytest.mark.parametrize(
    "name",
    [
        "all-MiniLM-L6-v2",
        "ALL-minilm-l6-V2",
        "sentence-transformers/all-MiniLM-L6-v2",
        "bert_6_384_12_all_minilm_l6_v2",
    ],
)
def test_a_record_is_found_under_each_of_its_names(name):
    record = records.by_name(name)
    assert record is not None
    assert record.dataset_name == "all_minilm_l6_v2"


def test_short_names_find_their_record():
    assert [records.by_name(name) for name in records.short_names()] == list(records.RECORDS)
    assert records.by_name("all-MiniLM") is None


def test_unknown_data_set_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'wiki_cn_cased'"):
        records.find("bert_12_768_12", "wiki_cn_casd")


def test_a_size_that_was_not_published_names_those_that_were():
    with pytest.raises(UnknownNameError, match="Known: bert_12_768_12"):
        records.find("bert_24_1024_16", "wiki_cn_cased")


def test_the_package_with_the_weights_is_found_without_importing_it():
    record = records.by_name("all-MiniLM-L6-v2")
    folder = record.package_path()
    assert (folder / "model.safetensors").stat().st_size > 90_000_000
    assert record.package not in sys.modules


def test_records_and_download_need_no_torch():
    code = (
        "import sys, plainbert.hub.records, plainbert.hub.download\n"
        "assert not {'torch', 'huggingface_hub', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
