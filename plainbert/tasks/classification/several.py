"""Classifiers that give a text any number of labels: each has a probability of its own.

Hugging Face's word for them is ``multi_label_classification``. They predict and are scored; they
are not trained here yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import files
from plainbert.containers.tables import table
from plainbert.errors import DataError, UnknownNameError
from plainbert.infer import finite
from plainbert.infer.logits import ComputesLogits, each_alone
from plainbert.nn.names import MULTI_LABEL
from plainbert.tasks.classification.decode import THRESHOLD
from plainbert.tasks.classification.scores import require
from plainbert.tasks.classification.task import Example, Task
from plainbert.tasks.reports import Report

METRICS = ("micro_f1", "macro_f1", "accuracy")

Flags = NDArray[np.bool_]


def has_several(model: ComputesLogits) -> bool:
    """Whether a model gives each label a probability of its own."""
    return model.head == "classification" and model.config.problem_type == MULTI_LABEL


def chosen(logits: NDArray[Any]) -> Flags:
    """Which labels each text has: (N, C) -> (N, C).

    Raises:
        NotFiniteError: logits are not finite; the rows are named.
    """
    finite.check(logits)
    flags: Flags = each_alone(logits) >= THRESHOLD
    return flags


def scored_by(task: Task) -> None:
    """Let a task's rows have several labels, ``toxic,insult``, and score them as such."""
    task.several, task.metrics = True, METRICS


def matrix(examples: Iterable[Example], task: Task) -> Flags:
    """Which labels each example has: (N, C).

    Args:
        examples: all labelled.
        task: names the labels.
    """
    labels = task.labels or ()
    rows = [task.names_of(example.label) for example in examples]
    return np.array([[label in row for label in labels] for row in rows], bool)


def check(names: Iterable[str]) -> None:
    """Whether metrics are for several labels per text.

    Raises:
        UnknownNameError: one is not.
    """
    for name in names:
        if name not in METRICS:
            raise UnknownNameError("metric of several labels per text", name, METRICS)


def compute(names: Iterable[str], predictions: Flags, labels: Flags) -> dict[str, float]:
    """Scores of a whole set.

    Args:
        names: of ``METRICS``. Accuracy is the share of texts all of whose labels are right.
        predictions: (N, C).
        labels: the right ones; (N, C).

    Raises:
        UnknownNameError: a metric for one label per text.
        DataError: the two sides differ in shape, or there are no rows.
    """
    require()
    from sklearn.metrics import f1_score

    if predictions.shape != labels.shape or not len(labels):
        raise DataError(f"{predictions.shape} predictions for labels of shape {labels.shape}.")
    names, scores = list(names), {}
    check(names)
    for name in names:
        if name == "accuracy":
            scores[name] = float((predictions == labels).all(1).mean())
        else:
            average = name.removesuffix("_f1")
            scores[name] = float(f1_score(labels, predictions, average=average, zero_division=0))
    return scores


def report(predictions: Flags, labels: Flags, names: Sequence[str]) -> Report:
    """Precision, recall, F1 and number of rows of every label.

    Args:
        predictions: (N, C).
        labels: the right ones; (N, C).
        names: of the labels, by id.
    """
    require()
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, predictions, average=None, zero_division=0)
    parts = ("precision", "recall", "f1", "support")
    return {
        name: {part: float(column[row]) for part, column in zip(parts, columns, strict=True)}
        for row, name in enumerate(names)
    }


def write_predictions(
    task: Task, split: str, examples: Sequence[Example], logits: NDArray[Any], folder: Path
) -> Path:
    """Write a split's predictions: index, labels between commas, the probability of each label.

    Args:
        task: names the labels and the file.
        split: one of the task's.
        examples: in the order of the logits.
        logits: (N, C).
        folder: created if need be.

    Returns:
        the file's path.
    """
    names = task.labels or ()
    rows = [
        {"index": example.row, "prediction": ",".join(names[i] for i in np.flatnonzero(flags))}
        | {f"p({name})": share for name, share in zip(names, shares, strict=True)}
        for example, flags, shares in zip(
            examples, chosen(logits), each_alone(logits).tolist(), strict=True
        )
    ]
    path = folder / task.submission_name(split)
    files.write_text(path, table(rows, ".tsv"))
    return path
