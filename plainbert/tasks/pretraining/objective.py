"""What pre-training minimises."""

from __future__ import annotations

from typing import Any

from plainbert.nn.headed import Headed, cross_entropy
from plainbert.nn.mlm_loss import mlm_loss
from plainbert.nn.names import IGNORE
from plainbert.train.objective import Objective, Sums


class PretrainingObjective(Objective):
    """Masked words and, unless the model lacks that head, next sentences.

    Args:
        nsp: whether the loss of next sentences counts.
        accuracy: whether right predictions are counted too.
    """

    def __init__(self, nsp: bool = True, accuracy: bool = True) -> None:
        self.names = ("mlm_loss", "nsp_loss") if nsp else ("mlm_loss",)
        self.accuracies = ("mlm_acc", "nsp_acc")[: len(self.names)] if accuracy else ()

    def counts(self, batch: Any) -> list[int]:
        mlm, nsp = len(batch.mlm_labels), int((batch.nsp_labels != IGNORE).sum())
        return [mlm, nsp][: len(self.names)]

    def sums(self, model: Headed, batch: Any) -> Sums:
        logits = model(batch.ids, batch.types, batch.layout, batch.masked)
        # The MLM logits are as large as all else together: their loss takes their memory.
        loss, hit = mlm_loss(logits if len(self.names) == 1 else logits.mlm, batch.mlm_labels)
        losses, hits = [loss], [hit]
        if len(self.names) == 2:
            losses.append(cross_entropy(logits.nsp, batch.nsp_labels).total)
            hits.append((logits.nsp.argmax(1) == batch.nsp_labels).sum())
        return Sums(losses, hits if self.accuracies else [])
