"""What is minimised: sums of losses, each divided by its own count of the whole global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from plainbert.nn.headed import Headed
from plainbert.nn.names import IGNORE


class Sums(NamedTuple):
    """What a forward pass yields, added up over its batch.

    Attributes:
        losses: one scalar for each of the objective's names.
        hits: right predictions, one scalar for each of the objective's accuracies.
    """

    losses: list[Tensor]
    hits: list[Tensor]


class Objective(ABC):
    """One or more losses.

    Attributes:
        names: of the losses, for the log.
        accuracies: names of the shares of right predictions, one for each loss; none where they
            are not counted.
    """

    names: tuple[str, ...]
    accuracies: tuple[str, ...] = ()

    @abstractmethod
    def counts(self, batch: Any) -> list[int]:
        """What each loss of a batch is a sum over, known before the forward pass."""

    @abstractmethod
    def sums(self, model: Headed, batch: Any) -> Sums:
        """Run the model on a batch."""


class Labels(Objective):
    """The loss of the model's head."""

    names = ("loss",)

    def counts(self, batch: Any) -> list[int]:
        assert batch.labels is not None
        if batch.labels.is_floating_point():
            return [len(batch)]
        labelled = batch.labels != IGNORE
        return [int((labelled.any(1) if labelled.dim() == 2 else labelled).sum())]

    def sums(self, model: Headed, batch: Any) -> Sums:
        logits = model(batch.ids, batch.types, batch.layout)
        return Sums([model.loss(logits, batch.labels, batch.layout).total], [])


def divided(losses: Sequence[Tensor], counts: Sequence[float], scale: float) -> Tensor:
    """Sum of the losses, each divided by its count and multiplied by ``scale``."""
    parts = [loss * (scale / max(1.0, n)) for loss, n in zip(losses, counts, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
