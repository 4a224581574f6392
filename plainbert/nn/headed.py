"""What all models with a head share: a BERT body, and losses that add up.

A model is called with (ids, types, layout) and returns logits; its ``loss`` returns the *sum* over
the examples (or tokens) and their number, so that a training step can divide by the number of the
whole global batch, whatever way it was cut into micro-batches and ranks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.config import BertConfig
from plainbert.nn.bert import Bert, Output
from plainbert.nn.layout import Layout
from plainbert.nn.names import IGNORE


class Loss(NamedTuple):
    """A sum of losses and what it is a sum over.

    Attributes:
        total: scalar.
        number: scalar, number of examples (or tokens) with a label.
    """

    total: Tensor
    number: Tensor


class Headed(nn.Module, ABC):
    """A BERT body, named ``bert``, and what computes outputs from its hidden states.

    Args:
        config: sizes and, for classifiers, the labels.
        pooler: whether the head reads the pooled vector.

    Attributes:
        head: a name in :data:`plainbert.nn.names.HEADS`.
    """

    head: str

    def __init__(self, config: BertConfig, pooler: bool) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config, pooler=pooler)

    @abstractmethod
    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """The head's outputs; each class gives their shape.

        Args:
            ids: (T,) with a packed layout, else (B, L).
            types: segment of each token, in the shape of the ids; all 0 when not given.
            layout: where the sequences lie; (B, L) ids without padding when not given.
        """

    @abstractmethod
    def loss(self, logits: Any, labels: Any, layout: Layout) -> Loss:
        """What is minimised.

        Args:
            logits: what the forward pass returned.
            labels: each class gives their shape.
            layout: the batch's.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def encode(self, ids: Tensor, types: Tensor | None, layout: Layout | None) -> Output:
        """Run the body."""
        output: Output = self.bert(ids, types, layout=layout)
        return output

    def pooled(self, ids: Tensor, types: Tensor | None, layout: Layout | None) -> Tensor:
        """The pooled vector; (B, D)."""
        vector = self.encode(ids, types, layout).pooled
        assert vector is not None
        return vector


def head_dropout(config: BertConfig) -> nn.Dropout:
    """Dropout before the last layer: ``classifier_dropout``, else that of the hidden layers."""
    own = config.classifier_dropout
    return nn.Dropout(config.hidden_dropout_prob if own is None else own)


def cross_entropy(logits: Tensor, labels: Tensor) -> Loss:
    """Cross entropy over the last axis; labels of ``IGNORE`` do not count."""
    total = F.cross_entropy(
        logits.flatten(0, -2).float() if logits.dtype != torch.float64 else logits.flatten(0, -2),
        labels.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return Loss(total, (labels != IGNORE).sum())
