"""Models to fine-tune. Parameters are named as in Hugging Face's ``BertFor...`` classes.

A new head is a class here, a name in :mod:`plainbert.nn.names` and a line in
:mod:`plainbert.nn.models`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.nn.bert import Bert, Output, initialize
from plainbert.nn.headed import Headed, Loss, cross_entropy, head_dropout
from plainbert.nn.layout import Layout, Padded
from plainbert.nn.names import IGNORE, MULTI_LABEL
from plainbert.nn.pooling import Pooling, normalize, pool


class WithClassifier(Headed):
    """Dropout and a linear map, of the pooled vector or of every token's.

    Args:
        config: sizes.
        pooler: whether the pooled vector is mapped.
        classes: logits of a vector, C.

    Shape:
        - logits: (B, C), or (..., C) without the pooler.
    """

    def __init__(self, config: BertConfig, pooler: bool, classes: int) -> None:
        super().__init__(config, pooler)
        self.dropout = head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, classes)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        output = self.encode(ids, types, layout)
        vectors = output.hidden if output.pooled is None else output.pooled
        logits: Tensor = self.classifier(self.dropout(vectors))
        return logits


class Classifier(WithClassifier):
    """One of C classes per sequence: dropout and a linear map of the pooled vector.

    Shape:
        - logits: (B, C)
        - labels: (B,), class ids.
    """

    head = "classification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True, classes=config.num_labels)

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy.

        Raises:
            UsageError: the config says that a text may have several labels.
        """
        if self.config.problem_type == MULTI_LABEL:
            raise UsageError(
                f"problem_type {MULTI_LABEL}: several labels per text can be predicted and scored, "
                "but not trained yet. Train for one label per text: set problem_type to "
                "single_label_classification."
            )
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


class TokenClassifier(WithClassifier):
    """One of C tags per token.

    Shape:
        - logits: (..., C)
        - labels: (...), tag ids; ``IGNORE`` where there is none.
    """

    head = "token_classification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False, classes=config.num_labels)

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy over the labelled tokens."""
        return cross_entropy(logits, labels)


class MultipleChoice(WithClassifier):
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
        super().__init__(config, pooler=True, classes=1)
        self.num_choices = num_choices

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        return super().forward(ids, types, layout).view(-1, self.num_choices)  # from (B, 1)

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy over the choices."""
        return cross_entropy(logits, labels)


class Embedding(Headed):
    """One vector per sequence, or per token: the body and a pooling, without weights of its own.

    Args:
        body: the encoder, which is used and not copied.
        pooling: how token vectors become one.
        special_ids: ids of [CLS] and [SEP]; for ``mask_cls_sep`` alone.
        skip: tokens at the beginning of each sequence that do not count in mean and max, and behind
            which the first one stands.

    Shape:
        - output: (B, D'), where D' is the width after layers, and mean and max, were joined; of
          "none" (..., D').

    Raises:
        UsageError: the body lacks the pooler, or the layers, that the pooling asks for.
    """

    head = "embedding"

    def __init__(
        self, body: Bert, pooling: Pooling, special_ids: tuple[int, ...] = (), skip: int = 0
    ) -> None:
        nn.Module.__init__(self)
        self.config, self.bert, self.pooling = body.config, body, pooling
        self.special_ids, self.skip = special_ids, skip
        self.depth = pooling.depth(body.config.num_hidden_layers)
        if pooling.kind == "pooled" and body.pooler is None:
            raise UsageError(
                "CLS_POOLED needs a pooler, and these weights have none; try CLS_TOKEN."
            )
        self.train(body.training)

    @property
    def width(self) -> int:
        """Numbers of a vector, D'."""
        joined = len(self.pooling.layers) * (2 if self.pooling.kind == "mean_max" else 1)
        return self.config.hidden_size * joined

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        if layout is None:
            layout = Padded(torch.ones_like(ids))
        mask = None
        if not self.pooling.mask_cls_sep:
            output = self._run(ids, types, layout)
            hidden = self._joined(output)
        else:
            mask = ~torch.isin(ids, torch.tensor(self.special_ids, device=ids.device))
            # Nobody attends to masked tokens; they themselves see the others. Such batches are
            # rare, so they are padded rather than a case of their own in every layout.
            real, seen = layout.pad(torch.ones_like(mask)), layout.pad(mask)  # (B, L)
            # A text without a word attends to its [CLS] and [SEP] after all; its vector is zero
            # anyway.
            seen = torch.where(seen.any(1, keepdim=True), seen, real)
            types = None if types is None else layout.pad(types)
            output = self._run(layout.pad(ids), types, Padded(seen))
            hidden = layout.unpad(self._joined(output))
        if self.skip:
            behind = (layout.positions() >= self.skip).expand(ids.shape)
            mask = behind if mask is None else mask & behind
        if self.pooling.kind == "pooled":
            assert output.pooled is not None
            vectors = output.pooled
        else:
            vectors = pool(self.pooling.kind, hidden, layout, mask, self.skip)
        return normalize(vectors) if self.pooling.normalize else vectors

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """There is none.

        Raises:
            UsageError: always.
        """
        raise UsageError("vectors have no labels; choose a head that has, to train it.")

    def _run(self, ids: Tensor, types: Tensor | None, layout: Layout) -> Output:
        """The body, as deep as the pooling needs it."""
        output: Output = self.bert(
            ids,
            types,
            layout=layout,
            every_layer=len(self.pooling.layers) > 1,
            depth=self.depth,
            pool=self.pooling.kind == "pooled",
        )
        return output

    def _joined(self, output: Output) -> Tensor:
        """The layers to pool, end to end: (..., D')."""
        if output.layers is None:
            return output.hidden
        count = self.config.num_hidden_layers + 1
        return torch.cat([output.layers[count + layer] for layer in self.pooling.layers], -1)
