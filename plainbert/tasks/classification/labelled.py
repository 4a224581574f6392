"""Predictions beside the right labels, and the scores of a whole set of them.

What is kept of a row is a pair of numbers, so that sets of any length fit into memory, or into a
file beside the work that is done.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.errors import DataError
from plainbert.tasks.classification import scores as metrics
from plainbert.tasks.classification import several
from plainbert.tasks.classification.columns import MISSING
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.classification.task import Task
from plainbert.tasks.reports import Confusion, SetScores

# The right label of a row: a class, a number, or several classes.
Gold = str | float | Sequence[str]
Pairs = NDArray[Any]

REGRESSION_METRICS = ("pearson", "spearman", "mse")
METRICS = ("accuracy", "macro_f1", "micro_f1")
NAMED = 5  # unknown labels that a message names

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelScoring:
    """How the predictions of a classifier or regressor are scored.

    Args:
        labels: names of the classes by id; none of a regression.
        several: whether a row may have several labels.
        names: metrics; those of the kind of model when not given.
    """

    labels: tuple[str, ...] = ()
    several: bool = False
    names: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the scores."""
        if self.names:
            return self.names
        if self.several:
            return several.METRICS
        if not self.labels:
            return REGRESSION_METRICS
        return (*METRICS, "f1", "mcc") if len(self.labels) == 2 else METRICS

    @functools.cached_property
    def _task(self) -> Task:
        task = Task()
        task.name, task.labels, task.several = "labels", self.labels or None, self.several
        task.metrics = self.metrics
        return task

    @functools.cached_property
    def _known(self) -> dict[Any, tuple[float, ...]]:
        """Every label that has been looked up."""
        return {}

    def values_of(self, gold: Gold) -> tuple[float, ...]:
        """The class ids of a right label, or its number.

        Raises:
            DataError: the model does not know it.
        """
        key = gold if isinstance(gold, str | float | int) else tuple(gold)
        if key not in self._known:
            task = self._task
            if not self.labels:
                values: tuple[float, ...] = (float(task.clean_label(str(gold))),)
            else:
                names = [str(gold)] if not isinstance(key, tuple) else list(key)
                if self.several:
                    names = [part for name in names for part in task.names_of(name)]
                if len(names) != 1 and not self.several:
                    raise DataError(f"{len(names)} labels for a row of a model that gives one.")
                values = tuple(float(task.label_id(name)) for name in names)
            self._known[key] = values
        return self._known[key]

    def knows(self, gold: Gold) -> bool:
        """Whether a right label is one that the model can predict."""
        try:
            self.values_of(gold)
        except DataError:
            return False
        return True

    def check(
        self, gold: Sequence[Gold], path: str | Path | None = None, lines: Sequence[int] = ()
    ) -> None:
        """Refuse labels that the model does not know, all at once.

        Args:
            gold: the right label of every row.
            path: the file that they come from.
            lines: line of each row in it.

        Raises:
            DataError: there are some; names and counts them.
        """
        unknown: Counter[str] = Counter()
        first = 0
        for row, label in enumerate(gold):
            if not self.knows(label):
                first = first if unknown else (lines[row] if lines else row + 1)
                unknown[str(label)] += 1
        if not unknown:
            return
        listed = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(NAMED))
        listed += ", ..." if len(unknown) > NAMED else ""
        known = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
        where = "line" if lines else "row"
        raise DataError(
            f"{sum(unknown.values())} of {len(gold)} rows have labels that the model does not "
            f"know: {listed}; first in {where} {first}. It knows: {known or 'numbers'}.",
            path,
        )

    def pairs(self, predictions: Sequence[Prediction], gold: Sequence[Gold]) -> Pairs:
        """What is kept of predictions and right labels.

        Args:
            predictions: one for each row.
            gold: the right label of each row.

        Returns:
            predicted, then right: ids (N, 2), int32; numbers (N, 2), float64; or flags (N, 2, C),
            uint8, where a row may have several labels.

        Raises:
            DataError: the model does not know a label.
        """
        values = [self.values_of(label) for label in gold]
        if not self.labels:
            numbers = [prediction.label for prediction in predictions]
            return np.array([numbers, [value[0] for value in values]], np.float64).T.reshape(-1, 2)
        ids = {label: row for row, label in enumerate(self.labels)}
        if self.several:
            flags = np.zeros((len(values), 2, len(ids)), np.uint8)
            for row, (prediction, right) in enumerate(zip(predictions, values, strict=True)):
                flags[row, 0, [ids[name] for name in prediction.labels or ()]] = 1
                flags[row, 1, [int(value) for value in right]] = 1
            return flags
        chosen = [ids[str(prediction.label)] for prediction in predictions]
        return np.array([chosen, [value[0] for value in values]], np.int32).T.reshape(-1, 2)

    def of_bytes(self, data: bytes) -> Pairs:
        """What ``tobytes`` made of :meth:`pairs`, of any number of them end to end."""
        if self.several:
            return np.frombuffer(data, np.uint8).reshape(-1, 2, len(self.labels))
        return np.frombuffer(data, np.int32 if self.labels else np.float64).reshape(-1, 2)

    def score(self, pairs: Pairs) -> SetScores:
        """Scores of a whole set.

        Args:
            pairs: from :meth:`pairs`, of all rows.

        Raises:
            DataError: there are no rows.
        """
        predicted, right = pairs[:, 0], pairs[:, 1]
        if self.several:
            predicted, right = predicted.astype(bool), right.astype(bool)
            scores = several.compute(self.metrics, predicted, right)
            return SetScores(len(pairs), scores, several.report(predicted, right, self.labels))
        scores = metrics.compute(self.metrics, predicted, right)
        if not self.labels:
            return SetScores(len(pairs), scores)
        report = metrics.report(predicted, right, self.labels)
        return SetScores(len(pairs), scores, report, _confusion(predicted, right, self.labels))


class Tally:
    """Scores of rows of which some may have no label, or one that the model does not know.

    Args:
        scoring: how rows are scored.
        unscored: labels of rows that are left out, from an earlier part of the work.
    """

    def __init__(self, scoring: LabelScoring, unscored: Mapping[str, int] | None = None) -> None:
        self.scoring, self.unscored = scoring, Counter(unscored or {})

    def pairs(self, predictions: Sequence[Prediction], gold: Sequence[Gold | None]) -> Pairs:
        """What is kept of the rows that can be scored; the others are counted."""
        rows = []
        for prediction, label in zip(predictions, gold, strict=True):
            is_empty = str(label or "").strip().casefold() in MISSING and not self.scoring.several
            if label is None or is_empty:
                self.unscored[""] += 1
            elif not self.scoring.knows(label):
                self.unscored[str(label)] += 1
            else:
                rows.append((prediction, label))
        return self.scoring.pairs([row for row, _ in rows], [label for _, label in rows])

    def score(self, pairs: Pairs) -> SetScores | None:
        """Scores of all rows; None where none has a label. The log says what was left out."""
        total = len(pairs) + self.unscored.total()
        unknown = Counter({label: count for label, count in self.unscored.items() if label})
        if self.unscored[""]:
            log.warning("%d of %d rows have no label to be scored by.", self.unscored[""], total)
        if unknown:
            listed = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(NAMED))
            log.warning(
                "%d of %d rows have labels that the model does not know, and are not scored: %s%s",
                unknown.total(),
                total,
                listed,
                ", ..." if len(unknown) > NAMED else "",
            )
        return self.scoring.score(pairs) if len(pairs) else None


def _confusion(predicted: NDArray[Any], right: NDArray[Any], labels: Sequence[str]) -> Confusion:
    pairs, counts = np.unique(np.stack([right, predicted], 1), axis=0, return_counts=True)
    confusion: Confusion = {}
    for (gold, guess), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        confusion.setdefault(labels[gold], {})[labels[guess]] = count
    return confusion
