"""Names lead to one record each."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plainbert.config import BertConfig
from plainbert.errors import UnknownNameError, UsageError
from plainbert.hub import records


def test_sizes_are_sizes_and_names_are_unique():
    names = [name.casefold() for record in records.RECORDS for name in record.names]
    assert len(names) == len(set(names))
    for record in records.RECORDS:
        config = BertConfig.from_name(record.model, record.vocab_size).replace(**record.config)
        assert config.size_name == record.model


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
    found = [records.by_name(name) for name in records.short_names()]
    assert None not in found
    assert len(set(found)) == len(found)
    left_out = [record for record in records.RECORDS if record not in found]
    assert {record.paper for record in left_out} == {"arXiv:1908.08962"}
    assert len(left_out) == 24 - 4
    assert records.by_name("all-MiniLM") is None


def test_every_vocabulary_can_be_downloaded():
    for record in records.RECORDS:
        found = records.same_vocabulary(record)
        assert found.repository is not None
        assert (found.lower, found.vocab_size) == (record.lower, record.vocab_size)
        assert found.reindexed == record.reindexed
        assert (found is record) == (record.repository is not None)
    shared = records.same_vocabulary(records.by_name("clinicalbert"))
    assert shared.dataset_name == "scibert_basevocab_uncased"


@pytest.mark.parametrize(
    ("documented", "real"),
    [
        ("biobert_v1.0_pmc", "biobert_v1.0_pmc_cased"),
        ("biobert_v1.0_pubmed", "biobert_v1.0_pubmed_cased"),
        ("biobert_v1.0_pubmed_pmc", "biobert_v1.0_pubmed_pmc_cased"),
        ("biobert_v1.1_pubmed", "biobert_v1.1_pubmed_cased"),
        ("clinicalbert", "clinicalbert_uncased"),
        ("baidu_ernie", "baidu_ernie_uncased"),
    ],
)
def test_the_spellings_of_gluonnlps_docstrings_work(documented, real):
    assert records.find("bert_12_768_12", documented).dataset_name == real


def test_ernie_goes_by_gluonnlps_name_of_the_model_too():
    record = records.find("ernie_12_768_12", "baidu_ernie_uncased")
    assert record is records.find("bert_12_768_12", "baidu_ernie_uncased")
    assert records.by_name("ernie_12_768_12_baidu_ernie_uncased") is record
    with pytest.raises(UnknownNameError, match="Known: bert_12_768_12"):
        records.find("ernie_12_768_12", "wiki_cn_cased")


@pytest.mark.parametrize(
    ("model", "dataset"),
    [
        ("distilbert_6_768_12", "book_corpus_wiki_en_uncased"),
        ("bert_12_768_12", "distilbert_book_corpus_wiki_en_uncased"),
        ("roberta_12_768_12", "openwebtext_ccnews_stories_books_cased"),
        ("RoBERTa_24_1024_16", "book_corpus_wiki_en_cased"),
    ],
)
def test_other_architectures_are_refused_with_what_to_take(model, dataset):
    with pytest.raises(UsageError, match=r"(DistilBERT|RoBERTa)'s, which has no .*Take a BERT"):
        records.find(model, dataset)


def test_what_a_refusal_recommends_exists():
    assert records.find("bert_6_768_12", "book_corpus_wiki_en_uncased").repository
    assert records.find("bert_24_1024_16", "book_corpus_wiki_en_wwm_cased").repository
    # Every BERT's data set may follow the word "distilbert" or "roberta" only there.
    for record in records.RECORDS:
        records.refuse_others(*record.names, record.dataset_name)


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
        "import sys, plainbert.hub.records, plainbert.hub.download, plainbert.hub.gluonnlp_cache\n"
        "assert not {'torch', 'huggingface_hub', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
