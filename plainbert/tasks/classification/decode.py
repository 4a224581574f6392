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


@dataclass(frozen=True, init=False, eq=False)
class Prediction:
    """What a model says about one text.

    Its fields are flat, so that ``pandas.DataFrame(predictions)`` has the columns label and score.

    Attributes:
        label: the most probable label; for a regression the number itself.
        score: its probability; for a regression the number itself.
    """

    label: str | float
    score: float

    def __init__(
        self,
        label: str | float,
        probabilities: Mapping[str, float],
        labels: Sequence[str] | None = None,
    ) -> None:
        score = label if isinstance(label, float) else probabilities[label]
        several = None if labels is None else tuple(labels)
        own = {"label": label, "score": score, "_shares": dict(probabilities), "_labels": several}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of every label, in the order of their ids; empty for a regression.

        Where a text may have several labels, each is a probability by itself.
        """
        shares: dict[str, float] = vars(self)["_shares"]
        return dict(shares)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The labels that are more probable than not, where a text may have several; else None."""
        several: tuple[str, ...] | None = vars(self)["_labels"]
        return several

    @property
    def array(self) -> NDArray[np.float64]:
        """The probabilities as an array, in the order of the labels' ids; (C,)."""
        return np.array(list(vars(self)["_shares"].values()))

    def best(self, count: int) -> list[Prediction]:
        """The most probable labels, the best first, as predictions of their own.

        Args:
            count: number of labels; all where there are not so many.
        """
        shares = self.probabilities
        ranked = sorted(shares, key=lambda label: -shares[label])[:count]
        return [Prediction(label, shares, self.labels) for label in ranked]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prediction) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.label, self.score))

    def as_dict(self) -> dict[str, Any]:
        """All that is known, by name; :meth:`of` puts it together again."""
        return {
            "label": self.label,
            "probabilities": self.probabilities,
            "labels": self.labels,
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Prediction:
        """What :meth:`as_dict` took apart."""
        return cls(plain["label"], plain["probabilities"], plain["labels"])


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
