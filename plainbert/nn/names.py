"""Heads and poolings by name, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from plainbert import arguments
from plainbert.errors import UnknownNameError

IGNORE = -100  # label of a token or answer that does not count


@dataclass(frozen=True)
class Head:
    """One kind of output.

    Attributes:
        name: what our scripts and ``plainbert.json`` call it.
        architecture: Hugging Face's class, as ``config.json`` names it.
        problem_type: Hugging Face's word for the loss, where it has one.
    """

    name: str
    architecture: str
    problem_type: str | None = None


MULTI_LABEL = "multi_label_classification"  # Hugging Face's word for several labels per text

HEADS = {
    head.name: head
    for head in (
        Head("embedding", "BertModel"),
        Head("classification", "BertForSequenceClassification", "single_label_classification"),
        Head("regression", "BertForSequenceClassification", "regression"),
        Head("question_answering", "BertForQuestionAnswering"),
        Head("token_classification", "BertForTokenClassification"),
        Head("multiple_choice", "BertForMultipleChoice"),
        Head("masked_lm", "BertForMaskedLM"),
        Head("next_sentence", "BertForNextSentencePrediction"),
        Head("pretraining", "BertForPreTraining"),
    )
}

# What --head called some of them before, and still takes.
OLD_NAMES = {
    "encoder": "embedding",
    "span": "question_answering",
    "tagging": "token_classification",
}

# Classes of Hugging Face's with BERT's weights that look only at the words before: no encoders.
REFUSED = ("BertLMHeadModel",)


def head_of(architecture: str, problem_type: str | None, num_labels: int) -> str | None:
    """Name of the head that a ``config.json`` describes; None for an unknown architecture.

    Hugging Face calls a sequence classifier with one label a regression.
    """
    if architecture == "BertForSequenceClassification":
        single = problem_type == "regression" or (problem_type is None and num_labels == 1)
        return "regression" if single else "classification"
    names = [head.name for head in HEADS.values() if head.architecture == architecture]
    return names[0] if names else None


def problem_type_of(head: str, stated: str | None) -> str | None:
    """Hugging Face's word for the loss of a head.

    Args:
        head: a key of ``HEADS``.
        stated: what a config says; a classifier with several labels per text stays that.
    """
    if head == "classification" and stated == MULTI_LABEL:
        return MULTI_LABEL
    return HEADS[head].problem_type


# What a user may type -> what it does. The names in capitals are bert-as-service's, the short ones
# sentence-transformers'.
POOLINGS = {
    "NONE": "none",
    "REDUCE_MAX": "max",
    "REDUCE_MEAN": "mean",
    "REDUCE_MEAN_MAX": "mean_max",
    "FIRST_TOKEN": "first",
    "CLS_TOKEN": "first",
    "LAST_TOKEN": "last",
    "SEP_TOKEN": "last",
    "CLS_POOLED": "pooled",
    "mean": "mean",
    "max": "max",
    "cls": "first",
}
# bert-as-service's protocol states the pooling by its number.
NUMBERS = {"none": 0, "max": 1, "mean": 2, "mean_max": 3, "first": 4, "last": 5, "pooled": 6}


def kind_of(name: str) -> str:
    """What a pooling of this name does, a key of ``NUMBERS``; the case does not matter.

    Raises:
        UsageError: it is no name.
        UnknownNameError: there is no such pooling.
    """
    arguments.text("pooling_strategy", name)
    folded = {known.casefold(): kind for known, kind in POOLINGS.items()}
    if name.casefold() not in folded:
        raise UnknownNameError("pooling", name, POOLINGS)
    return folded[name.casefold()]
