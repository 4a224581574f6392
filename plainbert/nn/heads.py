"""Models to fine-tune. Parameters are named as in Hugging Face's ``BertFor...`` classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plainbert.config import BertConfig
from plainbert.nn.bert import initialize
from plainbert.nn.headed import Headed, Loss, cross_entropy, head_dropout
from plainbert.nn.layout import Layout
from plainbert.nn.names import IGNORE


class Classifier(Headed):
    """One of C classes per sequence: dropout and a linear map of the pooled vector.

    Shape:
        - logits: (B, C)
        - labels: (B,), class ids.
    """

    head = "classification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True)
        self.dropout = head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.pooled(ids, types, layout)))
        return logits

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy."""
        return cross_entropy(logits, labels)


class Regressor(Classifier):
    """One number per sequence.

    Shape:
        - logits: (B, 1)
        - labels: (B,), float.
    """

    head = "regression"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.replace(id2label=config.id2label or ("LABEL_0",)))

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Half the squared error, as GluonNLP's L2Loss."""
        error = logits[:, 0].to(labels.dtype) - labels
        return Loss(0.5 * error.square().sum(), torch.tensor(len(labels), device=labels.device))


class QuestionAnswering(Headed):
    """Start and end of an answer: a linear map of every token to two logits.

    Shape:
        - logits: (..., 2), start and end.
        - labels: (B, 2), positions in the sequence; ``IGNORE`` for an answer outside it.
    """

    head = "question_answering"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        initialize(self.qa_outputs, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.qa_outputs(self.encode(ids, types, layout).hidden)
        return logits

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Mean of the start's and the end's cross entropy over the tokens of each sequence."""
        both = layout.pad(logits, -torch.inf).transpose(1, 2)  # (B, L, 2) -> (B, 2, L)
        loss = cross_entropy(both, labels)
        return Loss(loss.total / 2, (labels != IGNORE).any(1).sum())


class TokenClassifier(Headed):
    """One of C tags per token.

    Shape:
        - logits: (..., C)
        - labels: (...), tag ids; ``IGNORE`` where there is none.
    """

    head = "token_classification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)
        self.dropout = head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.encode(ids, types, layout).hidden))
        return logits

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy over the labelled tokens."""
        return cross_entropy(logits, labels)


class MultipleChoice(Headed):
    """Which of several sequences is right: one score each, compared within the question.

    The sequences of one question follow each other in the batch.

    Args:
        config: sizes.
        num_choices: sequences per question.

    Shape:
        - logits: (B / num_choices, num_choices)
        - labels: (B / num_choices,)
    """

    head = "multiple_choice"

    def __init__(self, config: BertConfig, num_choices: int = 2) -> None:
        super().__init__(config, pooler=True)
        self.num_choices = num_choices
        self.dropout = head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        scores: Tensor = self.classifier(self.dropout(self.pooled(ids, types, layout)))  # (B, 1)
        return scores.view(-1, self.num_choices)

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy over the choices."""
        return cross_entropy(logits, labels)
