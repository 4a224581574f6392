"""From the logits of a classifier or regressor to labels, numbers and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.infer import finite
from plainbert.infer.logits import each_alone, probabilities

THRESHOLD = 0.5  # probability from which on a text has one of several labels


@dataclass(frozen=True)
class Prediction:
    """What a model says about one text.

    Attributes:
        label: the most probable label; for a regression the number itself.
        probabilities: of every label, in the order of their ids; empty for a regression. Where a
            text may have several labels, each by itself.
        labels: where a text may have several labels, those that are more probable than not; else
            None.
    """

    label: str | float
    probabilities: dict[str, float]
    labels: tuple[str, ...] | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Prediction:
        """What ``dataclasses.asdict`` took apart."""
        labels = plain["labels"]
        several = None if labels is None else tuple(labels)
        return cls(plain["label"], plain["probabilities"], several)


def decode(
    logits: NDArray[np.float32], labels: Sequence[str], several: bool = False
) -> list[Prediction]:
    """What a model says about each text.

    Args:
        logits: (N, C); (N, 1) of a regression.
        labels: names of the classes by id; none for a regression.
        several: whether a text may have several labels.
    """
    if not labels:
        return [Prediction(float(value), {}) for value in logits[:, 0]]
    if several:
        return [
            Prediction(
                labels[row.argmax()],
                dict(zip(labels, row.tolist(), strict=True)),
                tuple(labels[place] for place in np.flatnonzero(row >= THRESHOLD).tolist()),
            )
            for row in each_alone(logits)
        ]
    return [
        Prediction(labels[row.argmax()], dict(zip(labels, row.tolist(), strict=True)))
        for row in probabilities(logits)
    ]


def predicted(logits: NDArray[Any]) -> NDArray[Any]:
    """The class, or the number, that logits stand for: (N, C) -> (N,).

    Raises:
        NotFiniteError: logits are not finite; the rows are named.
    """
    finite.check(logits)
    if logits.shape[1] == 1:
        return logits[:, 0]
    chosen: NDArray[np.int64] = logits.argmax(1)
    return chosen
