"""Scores of tags: entities as seqeval counts them, and labels of words.

Importing this module is cheap: numpy, scikit-learn and seqeval are imported by the functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plainbert import packages
from plainbert.errors import DataError

Tags = Sequence[Sequence[str]]  # of every sentence
Report = dict[str, dict[str, float]]  # type or label to precision, recall, f1, support

OUTSIDE = "O"
# Scores that may choose the best model, by what the tags mark.
ENTITY_METRICS = ("f1", "precision", "recall", "accuracy")
LABEL_METRICS = ("macro_f1", "micro_f1", "accuracy")


def require() -> None:
    """Fail now, rather than after a training, where scores cannot be computed.

    Raises:
        MissingDependencyError: seqeval or scikit-learn is not installed.
    """
    packages.require(("sklearn", "seqeval"), "scores", "scoring a tagger")


def score(predicted: Tags, gold: Tags) -> dict[str, float]:
    """Entity F1, precision and recall over a whole set, and the share of words that are right.

    An entity is right if its words and its type are. Tags may be IOB1, IOB2 or BIOES, broken ones
    are read as conlleval reads them; the words' accuracy compares the tags as they are.

    Args:
        predicted: tags of every sentence.
        gold: the right tags of every sentence.

    Returns:
        the names of ``ENTITY_METRICS`` to numbers; 0 where there is no entity to count.

    Raises:
        DataError: the two sides do not have the same words, or there are none.
        MissingDependencyError: seqeval or scikit-learn is not installed.

    Example:
        >>> score([["B-PER", "O", "B-LOC"]], [["B-PER", "O", "O"]])["f1"]
        0.6666666666666666
    """
    precision, recall, f1, _ = _counted(predicted, gold, "micro")
    return {
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "accuracy": _accuracy(*_flat(predicted, gold)),
    }


def report(predicted: Tags, gold: Tags) -> Report:
    """Precision, recall, F1 and number of entities of every type, and over all of them.

    Args:
        predicted: tags of every sentence, in IOB1, IOB2 or BIOES.
        gold: the right tags of every sentence.

    Returns:
        types in alphabetical order, then "all"; nothing where neither side has an entity.
    """
    require()
    from seqeval.metrics.sequence_labeling import get_entities

    columns = _counted(predicted, gold, None)
    sides = (get_entities(list(map(list, side))) for side in (gold, predicted))
    types = sorted({kind for side in sides for kind, _, _ in side})
    rows = {kind: _row(*(column[i] for column in columns)) for i, kind in enumerate(types)}
    return {**rows, "all": _row(*_counted(predicted, gold, "micro"))} if rows else {}


def score_labels(predicted: Tags, gold: Tags) -> dict[str, float]:
    """Scores of plain labels, one for each word.

    Macro and micro F1 are over the labels other than "O": with it, micro F1 would be the accuracy,
    and of most sets the share of its most common label.

    Args:
        predicted: labels of every sentence.
        gold: the right labels of every sentence.

    Returns:
        the names of ``LABEL_METRICS`` to numbers; 0 where there is no label but "O".

    Raises:
        DataError: the two sides do not have the same words, or there are none.
    """
    require()
    from sklearn.metrics import f1_score

    got, want = _flat(predicted, gold)
    labels = sorted({*got, *want} - {OUTSIDE})
    f1 = {
        average: float(f1_score(want, got, labels=labels, average=average, zero_division=0))
        for average in ("macro", "micro")
        if labels
    }
    return {
        "macro_f1": f1.get("macro", 0.0),
        "micro_f1": f1.get("micro", 0.0),
        "accuracy": _accuracy(got, want),
    }


def report_labels(predicted: Tags, gold: Tags) -> Report:
    """Precision, recall, F1 and number of words of every label, "O" included.

    Args:
        predicted: labels of every sentence.
        gold: the right labels of every sentence.
    """
    require()
    from sklearn.metrics import precision_recall_fscore_support

    got, want = _flat(predicted, gold)
    labels = sorted({*got, *want})
    columns = precision_recall_fscore_support(want, got, labels=labels, zero_division=0)
    return {label: _row(*(column[i] for column in columns)) for i, label in enumerate(labels)}


def _accuracy(got: Sequence[str], want: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(got, want, strict=True)) / len(want)


def _row(precision: Any, recall: Any, f1: Any, support: Any) -> dict[str, float]:
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "support": int(support),
    }


def _counted(predicted: Tags, gold: Tags, average: str | None) -> tuple[Any, Any, Any, Any]:
    """Precision, recall, F1 and number of entities."""
    require()
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    _flat(predicted, gold)
    sides = (list(map(list, gold)), list(map(list, predicted)))
    counts: tuple[Any, Any, Any, Any]
    counts = precision_recall_fscore_support(*sides, average=average, zero_division=0)
    return counts


def _flat(predicted: Tags, gold: Tags) -> tuple[list[str], list[str]]:
    """The tags of all words of both sides."""
    lengths = [list(map(len, side)) for side in (predicted, gold)]
    if lengths[0] != lengths[1]:
        raise DataError(
            f"{sum(lengths[0])} predicted tags in {len(lengths[0])} sentences for "
            f"{sum(lengths[1])} words in {len(lengths[1])}; one for each word is expected."
        )
    if not sum(lengths[1]):
        raise DataError("there are no words to score.")
    return [tag for row in predicted for tag in row], [tag for row in gold for tag in row]
