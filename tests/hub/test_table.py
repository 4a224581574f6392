"""The table against what GluonNLP 0.10, Google and real vocabulary files say."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from plainbert.errors import UsageError
from plainbert.hub import records
from plainbert.hub.table import RECORDS

FIXTURES = Path(__file__).parent.parent / "fixtures"
TEXT, HUB = FIXTURES / "text", FIXTURES / "hub"
BASE, LARGE = "bert_12_768_12", "bert_24_1024_16"

# SHA-1 by file name, without the digits that GluonNLP adds to it.
PUBLISHED = {
    name: sha1 for sha1, name in (line.split() for line in (HUB / "gluonnlp-0.10.sha1").open())
}
PARAMS = [name.removesuffix(".params") for name in PUBLISHED if name.endswith(".params")]

# Name, vocabulary size, lower-casing: from the documentation of GluonNLP's model zoo.
DOCUMENTED = {
    (BASE, "book_corpus_wiki_en_uncased"): (30522, True),
    (BASE, "book_corpus_wiki_en_cased"): (28996, False),
    (LARGE, "book_corpus_wiki_en_uncased"): (30522, True),
    (LARGE, "book_corpus_wiki_en_cased"): (28996, False),
    (BASE, "wiki_multilingual_uncased"): (105879, True),
    (BASE, "wiki_multilingual_cased"): (119547, False),
    (BASE, "wiki_cn_cased"): (21128, False),
    (BASE, "scibert_scivocab_uncased"): (31090, True),
    (BASE, "scibert_scivocab_cased"): (31116, False),
    (BASE, "scibert_basevocab_uncased"): (30522, True),
    (BASE, "scibert_basevocab_cased"): (28996, False),
    (BASE, "biobert_v1.0_pmc_cased"): (28996, False),
    (BASE, "biobert_v1.0_pubmed_cased"): (28996, False),
    (BASE, "biobert_v1.0_pubmed_pmc_cased"): (28996, False),
    (BASE, "biobert_v1.1_pubmed_cased"): (28996, False),
    (BASE, "clinicalbert_uncased"): (30522, True),
}


@pytest.mark.parametrize(("key", "facts"), DOCUMENTED.items(), ids=lambda value: str(value))
def test_every_documented_data_set_has_its_record(key, facts):
    record = records.find(*key)
    assert (record.model, record.dataset_name) == key
    assert (record.vocab_size, record.lower) == facts


@pytest.mark.parametrize("name", PARAMS)
def test_all_that_gluonnlp_published_is_there_or_refused(name):
    model, dataset = re.fullmatch(r"(.+_\d+_\d+_\d+)_(.+)", name).groups()
    if not model.startswith(("bert", "ernie")):
        with pytest.raises(UsageError, match=r"token types.* Take a BERT: .*in transformers"):
            records.find(model, dataset)
        return
    record = records.find(model, dataset)
    assert records.by_name(name) is record
    assert record.old_params == f"{name}-{PUBLISHED[name + '.params'][:8]}.params"
    suffix = ".spiece" if dataset.startswith("kobert") else ".vocab"
    assert record.old_vocab == f"{dataset}-{PUBLISHED[dataset + suffix][:8]}{suffix}"


def test_no_other_record_claims_a_file_of_gluonnlp():
    claimed = {record.old_params.rpartition("-")[0] for record in RECORDS if record.old_params}
    assert claimed == {name for name in PARAMS if name.startswith(("bert", "ernie"))}
    assert all(bool(record.old_params) == bool(record.old_vocab) for record in RECORDS)


def test_equal_vocabularies_have_equal_sizes_casing_and_order():
    shared = {}
    for record in RECORDS:
        if record.vocab_sha1:
            facts = (record.vocab_size, record.lower, record.reindexed)
            assert shared.setdefault(record.vocab_sha1, facts) == facts


def test_gluonnlp_reindexed_googles_vocabularies_only():
    found = {record.dataset_name for record in RECORDS if record.reindexed}
    google = {"book_corpus_wiki_en", "wiki_multilingual", "wiki_cn"}
    assert {name.rpartition("_")[0] for name in found} == google | {
        "openwebtext_book_corpus_wiki_en"  # shares the first one's
    }
    assert len(found) == 6


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("uncased.txt", "bert-base-uncased"),
        ("cased.txt", "bert-base-cased"),
        ("chinese.txt", "bert-base-chinese"),
    ],
)
def test_vocabulary_sizes_are_those_of_the_real_files(file, name):
    # One entry is U+2028, so lines are split at \n only.
    tokens = (TEXT / file).read_bytes().decode().removesuffix("\n").split("\n")
    record = records.by_name(name)
    assert record.vocab_size == len(tokens)
    # Uncased vocabularies hold no capitals outside the special tokens.
    assert record.lower == (not any(re.match("[A-Z]", token) for token in tokens)) or (
        record.dataset_name == "wiki_cn_cased"  # kept cased: GluonNLP's rule
    )


def test_all_of_googles_miniatures_are_there():
    sizes = list(product(range(2, 14, 2), (128, 256, 512, 768)))
    assert len(sizes) == 24
    for layers, units in sizes:
        heads = {128: 2, 256: 4, 512: 8, 768: 12}[units]
        record = records.by_name(f"google/bert_uncased_L-{layers}_H-{units}_A-{heads}")
        assert record.model == f"bert_{layers}_{units}_{heads}"
        assert record.source.endswith(f"/uncased_L-{layers}_H-{units}_A-{heads}.zip")
    for name, size in {
        "tiny": "2_128_2",
        "mini": "4_256_4",
        "small": "4_512_8",
        "medium": "8_512_8",
    }.items():
        assert records.by_name(f"bert-{name}").model == f"bert_{size}"
    # The base size was published twice; the plain name stays what it was.
    assert records.find(BASE, "book_corpus_wiki_en_uncased").repository.endswith("base-uncased")


def test_whole_word_masking_is_there_in_both_casings():
    for casing in ("uncased", "cased"):
        record = records.by_name(f"bert-large-{casing}-whole-word-masking")
        plain = records.find(LARGE, f"book_corpus_wiki_en_{casing}")
        assert (record.model, record.vocab_size, record.lower) == (
            plain.model,
            plain.vocab_size,
            plain.lower,
        )
        assert record.dataset_name != plain.dataset_name


def test_casing_agrees_with_every_name():
    for record in RECORDS:
        for name in (record.dataset_name, record.repository or "", record.source):
            if "cased" in name:
                assert record.lower == ("uncased" in name), name


def test_every_field_is_of_its_form():
    for record in RECORDS:
        assert re.fullmatch(r"main|[0-9a-f]{40}", record.revision), record.names
        assert record.licence in ("Apache-2.0", "not stated")
        assert re.fullmatch(r"(arXiv:\d{4}\.\d{5})?", record.paper)
        assert re.fullmatch(r"https://\S+", record.source), record.names
        assert re.fullmatch(r"([0-9a-f]{8})?", record.params_sha1)
        assert re.fullmatch(r"([0-9a-f]{8})?", record.vocab_sha1)
        assert record.repository is None or re.fullmatch(r"[\w.-]+/[\w.-]+", record.repository)


def test_order_documented_names_come_first():
    pairs = [(record.model, record.dataset_name) for record in RECORDS]
    assert pairs[: len(DOCUMENTED)] == list(DOCUMENTED)
    assert len(pairs) == len(set(pairs)) == 16 + 3 + 2 + 24 + 1
