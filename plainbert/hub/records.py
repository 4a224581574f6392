"""Find published weights by name: one record per GluonNLP data set name and size.

Facts only, no torch, no network. :mod:`plainbert.hub.table` holds the records,
:mod:`plainbert.hub.download` fetches what one of them names.
"""

from __future__ import annotations

from plainbert.errors import UnknownNameError, UsageError
from plainbert.hub.record import Record
from plainbert.hub.table import RECORDS

__all__ = [
    "DATASET_NAMES", "MODEL_NAMES", "OTHER_ARCHITECTURES", "RECORDS", "TEXT_FILES",
    "VOCABULARY_FILES", "Record", "by_name", "find", "refuse_others",
    "same_vocabulary", "short_names", "trained_on",
]  # fmt: skip

# What a model folder may hold beside its weights, and we can read.
TEXT_FILES = (
    "config.json", "plainbert.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "spm.model", "spiece.model", "modules.json",
    "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json",
)  # fmt: skip
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt", "spm.model", "spiece.model")

DATASET_NAMES: tuple[str, ...] = tuple(dict.fromkeys(item.dataset_name for item in RECORDS))
MODEL_NAMES: tuple[str, ...] = tuple(dict.fromkeys(item.model for item in RECORDS))

_DISTILBERT = (
    "is DistilBERT's, which has no token types and no pooler. Take a BERT: the one it was "
    "distilled from (bert_12_768_12) or one as small (bert_6_768_12), both with the data set "
    "book_corpus_wiki_en_uncased. DistilBERT itself: distilbert/distilbert-base-uncased in "
    "transformers."
)
_ROBERTA = (
    "is RoBERTa's, which has no token types, no pooler and a byte-level vocabulary. Take a BERT: "
    "bert_24_1024_16 with the data set book_corpus_wiki_en_wwm_cased, for example. RoBERTa itself: "
    "FacebookAI/roberta-base and roberta-large in transformers."
)
# Names, GluonNLP's and the Hub's, of models that are not BERT.
OTHER_ARCHITECTURES = {
    "distilbert_6_768_12": _DISTILBERT,
    "distilbert-base-uncased": _DISTILBERT,
    "distilbert-base-cased": _DISTILBERT,
    "distilbert_book_corpus_wiki_en_uncased": _DISTILBERT,
    "roberta-base": _ROBERTA,
    "roberta-large": _ROBERTA,
    "roberta_12_768_12": _ROBERTA,
    "roberta_24_1024_16": _ROBERTA,
    "openwebtext_ccnews_stories_books_cased": _ROBERTA,
}


def short_names() -> list[str]:
    """The handiest name of each record; :func:`by_name` takes the others too.

    Miniatures without a name of their own are left out: twenty alike would bury the rest.
    """
    return [
        record.aliases[0] if record.aliases else record.names[0]
        for record in RECORDS
        if record.aliases or record.params_sha1
    ]


def by_name(name: str) -> Record | None:
    """The record of a short name, a Hub repository or ``MODEL_DATASET``; None when unknown."""
    folded = name.casefold()
    for record in RECORDS:
        if folded in (known.casefold() for known in record.names):
            return record
    return None


def same_vocabulary(record: Record) -> Record:
    """A record on the Hub with the same vocabulary: the record itself, if it is there.

    So weights that somebody still has can be used where only the vocabulary is missing. Equal
    SHA-1 of GluonNLP's files mean equal words in equal order.
    """
    if record.repository is None and record.vocab_sha1:
        for other in RECORDS:
            if other.repository is not None and other.vocab_sha1 == record.vocab_sha1:
                return other
    return record


def refuse_others(*names: str) -> None:
    """Stop at GluonNLP's names of models that are not BERT.

    Raises:
        UsageError: one of the names is such a one; says what to take instead.
    """
    for name in names:
        for other, reason in OTHER_ARCHITECTURES.items():
            if name.casefold().endswith(other):  # the data set after the model, or either alone
                raise UsageError(f"{name!r} {reason}")


def trained_on(dataset_name: str) -> Record:
    """A record trained on a data set, of any size: enough to know vocabulary and casing.

    Raises:
        UsageError: it is the data set of a model that is not BERT.
        UnknownNameError: no such data set.
    """
    refuse_others(dataset_name)
    known = by_name(dataset_name)
    name = known.dataset_name if known else dataset_name
    for record in RECORDS:
        if record.dataset_name == name:
            return record
    raise UnknownNameError(
        "dataset_name", dataset_name, DATASET_NAMES, "Or give the path of a folder."
    )


def find(model: str, dataset_name: str) -> Record:
    """The record of one size trained on one data set.

    Args:
        model: ``bert_LAYERS_UNITS_HEADS``, or GluonNLP's name where that is another.
        dataset_name: GluonNLP's name, or any single name of a record.

    Raises:
        UsageError: it is a model of GluonNLP's that is not BERT.
        UnknownNameError: no such data set, or it was not published in that size.
    """
    refuse_others(model)
    dataset = trained_on(dataset_name).dataset_name  # short names and repositories work as well
    sizes = [record for record in RECORDS if record.dataset_name == dataset]
    for record in sizes:
        if model in record.models:
            return record
    raise UnknownNameError(
        f"model trained on {dataset_name!r}", model, [record.model for record in sizes]
    )
