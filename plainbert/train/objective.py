"""What is minimised: sums of losses, each divided by its own count of the whole global batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from plainbert.nn.headed import Headed, cross_entropy
from plainbert.nn.mlm_loss import mlm_loss
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
    """The loss of a head that needs logits and labels only."""

    names = ("loss",)

    def counts(self, batch: Any) -> list[int]:
        assert batch.labels is not None
        if batch.labels.is_floating_point():
            return [len(batch)]
        labelled = batch.labels != IGNORE
        return [int((labelled.any(1) if labelled.dim() == 2 else labelled).sum())]

    def sums(self, model: Headed, batch: Any) -> Sums:
        logits = model(batch.ids, batch.types, batch.layout)
        return Sums([model.loss(logits, batch.labels).total], [])  # type: ignore[operator]


class Spans(Objective):
    """Start and end of answers; their labels are places in each sequence."""

    names = ("loss",)

    def counts(self, batch: Any) -> list[int]:
        return [int((batch.labels != IGNORE).any(1).sum())]

    def sums(self, model: Headed, batch: Any) -> Sums:
        logits = model(batch.ids, batch.types, batch.layout)
        loss = model.loss(logits, batch.labels, batch.layout)  # type: ignore[operator]
        return Sums([loss.total], [])


class Pretraining(Objective):
    """Masked words and, unless the model lacks that head, next sentences.

    Args:
        sentences: whether the second loss counts.
        accuracy: whether right predictions are counted too.
    """

    def __init__(self, sentences: bool = True, accuracy: bool = True) -> None:
        self.names = ("mlm_loss", "nsp_loss") if sentences else ("mlm_loss",)
        self.accuracies = ("mlm_acc", "nsp_acc")[: len(self.names)] if accuracy else ()

    def counts(self, batch: Any) -> list[int]:
        words = len(batch.words)
        return [words, int((batch.sentences != IGNORE).sum())][: len(self.names)]

    def sums(self, model: Headed, batch: Any) -> Sums:
        logits = model(batch.ids, batch.types, batch.layout, batch.masked)
        words = logits if len(self.names) == 1 else logits.words
        loss, hit = mlm_loss(words, batch.words)
        losses, hits = [loss], [hit]
        if len(self.names) == 2:
            losses.append(cross_entropy(logits.sentences, batch.sentences).total)
            hits.append((logits.sentences.argmax(1) == batch.sentences).sum())
        return Sums(losses, hits if self.accuracies else [])


def divided(losses: Sequence[Tensor], counts: Sequence[float], scale: float) -> Tensor:
    """Sum of the losses, each divided by its count and multiplied by ``scale``."""
    parts = [loss * (scale / max(1.0, n)) for loss, n in zip(losses, counts, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
