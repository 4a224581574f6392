"""BERT with something on top. Parameter names are Hugging Face's ``BertFor...`` classes'.

Every model here is called with (ids, types, layout) and returns logits; its ``loss`` returns the
*sum* over the examples (or tokens) and their count, so that a training step can divide by the
count of the whole global batch, whatever way it was cut into micro-batches and ranks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.config import BertConfig
from plainbert.nn.bert import Bert, Output, activation, initialize
from plainbert.nn.layout import Layout

IGNORE = -100  # label of a token or answer that does not count


class Loss(NamedTuple):
    """A sum of losses and what it is a sum over.

    Attributes:
        total: scalar.
        count: scalar, number of examples (or tokens) with a label.
    """

    total: Tensor
    count: Tensor


class Headed(nn.Module):
    """A BERT body, named ``bert``, and how to run it.

    Args:
        config: sizes and, for classifiers, the labels.
        pooler: whether the head reads the pooled vector.
    """

    head: str  # a name in plainbert.nn.names.HEADS

    def __init__(self, config: BertConfig, pooler: bool) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config, pooler=pooler)

    def encode(self, ids: Tensor, types: Tensor | None, layout: Layout | None) -> Output:
        """Run the body."""
        output: Output = self.bert(ids, types, layout=layout)
        return output

    def pooled(self, ids: Tensor, types: Tensor | None, layout: Layout | None) -> Tensor:
        """The pooled vector; (B, D)."""
        vector = self.encode(ids, types, layout).pooled
        assert vector is not None
        return vector


def _head_dropout(config: BertConfig) -> nn.Dropout:
    own = config.classifier_dropout
    return nn.Dropout(config.hidden_dropout_prob if own is None else own)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Loss:
    """Cross entropy over the last axis; labels of ``IGNORE`` do not count."""
    total = F.cross_entropy(
        logits.flatten(0, -2).float() if logits.dtype != torch.float64 else logits.flatten(0, -2),
        labels.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return Loss(total, (labels != IGNORE).sum())


class Classifier(Headed):
    """One of C classes per sequence: dropout and a linear map of the pooled vector.

    Shape:
        - logits: (B, C)
        - labels: (B,), class ids.
    """

    head = "classification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True)
        self.dropout = _head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.pooled(ids, types, layout)))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Cross entropy."""
        return _cross_entropy(logits, labels)


class Regressor(Classifier):
    """One number per sequence.

    Shape:
        - logits: (B, 1)
        - labels: (B,), float.
    """

    head = "regression"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.replace(id2label=config.id2label or ("LABEL_0",)))

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Half the squared error, as GluonNLP's L2Loss."""
        error = logits[:, 0].to(labels.dtype) - labels
        return Loss(0.5 * error.square().sum(), torch.tensor(len(labels), device=labels.device))


class Span(Headed):
    """Start and end of an answer: a linear map of every token to two logits.

    Shape:
        - logits: (..., 2), start and end.
        - labels: (B, 2), positions in the sequence; ``IGNORE`` for an answer outside it.
    """

    head = "span"

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
        lengths = layout.lengths()
        places = torch.arange(int(lengths.max()), device=logits.device)
        real = places < lengths[:, None]  # (B, L)
        pairs = real.nonzero()  # (T, 2)
        padded = logits.new_full((*real.shape, 2), -torch.inf)
        padded[real] = logits.flatten(0, -2)[layout.rows(pairs)]
        both = padded.transpose(1, 2)  # (B, 2, L)
        loss = _cross_entropy(both, labels)
        return Loss(loss.total / 2, (labels != IGNORE).any(1).sum())


class Tagger(Headed):
    """One of C tags per token.

    Shape:
        - logits: (..., C)
        - labels: (...), tag ids; ``IGNORE`` where there is none.
    """

    head = "tagging"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)
        self.dropout = _head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.encode(ids, types, layout).hidden))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Cross entropy over the labelled tokens."""
        return _cross_entropy(logits, labels)


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
        self.dropout = _head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        initialize(self.classifier, config)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        scores: Tensor = self.classifier(self.dropout(self.pooled(ids, types, layout)))  # (B, 1)
        return scores.view(-1, self.num_choices)

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Cross entropy over the choices."""
        return _cross_entropy(logits, labels)


class Transform(nn.Module):
    """What happens to a vector before it is compared with the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.activation(self.dense(hidden)))
        return normed


class Predictions(nn.Module):
    """Logits over the vocabulary; its matrix is the word embedding's."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        return F.linear(self.transform(hidden), embedding, self.bias)  # (..., V)


class PretrainingHeads(nn.Module):
    """The masked-word head, the next-sentence head, or both."""

    def __init__(self, config: BertConfig, words: bool, sentences: bool) -> None:
        super().__init__()
        if words:
            self.predictions = Predictions(config)
        if sentences:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)
        initialize(self, config)


class MaskedLM(Headed):
    """The word at each token, or only at chosen ones.

    Shape:
        - index: (M, 2), sequence and position of the masked tokens; every token when not given.
        - logits: (M, V), or (..., V)
        - labels: (M,), or (...) with ``IGNORE``.
    """

    head = "masked_lm"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)
        self.cls = PretrainingHeads(config, words=True, sentences=False)

    def forward(
        self,
        ids: Tensor,
        types: Tensor | None = None,
        layout: Layout | None = None,
        index: Tensor | None = None,
    ) -> Tensor:
        return self.words(self.encode(ids, types, layout).hidden, layout, index)

    def words(self, hidden: Tensor, layout: Layout | None, index: Tensor | None) -> Tensor:
        """Logits over the vocabulary of every token, or of the indexed ones only."""
        if index is not None:
            assert layout is not None
            hidden = hidden.flatten(0, -2)[layout.rows(index)]  # (M, D)
        logits: Tensor = self.cls.predictions(hidden, self.bert.embeddings.word_embeddings.weight)
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Cross entropy over the masked tokens."""
        return _cross_entropy(logits, labels)


class NextSentence(Headed):
    """Whether the second segment follows the first; class 0 means it does.

    Shape:
        - logits: (B, 2)
        - labels: (B,)
    """

    head = "next_sentence"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True)
        self.cls = PretrainingHeads(config, words=False, sentences=True)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.cls.seq_relationship(self.pooled(ids, types, layout))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Cross entropy."""
        return _cross_entropy(logits, labels)


class PretrainingLogits(NamedTuple):
    """Both heads' outputs.

    Attributes:
        words: (M, V) or (..., V)
        sentences: (B, 2)
    """

    words: Tensor
    sentences: Tensor


class Pretraining(MaskedLM):
    """Masked words and next sentence together."""

    head = "pretraining"

    def __init__(self, config: BertConfig) -> None:
        Headed.__init__(self, config, pooler=True)
        self.cls = PretrainingHeads(config, words=True, sentences=True)

    def forward(  # type: ignore[override]  # two outputs, where MaskedLM has one
        self,
        ids: Tensor,
        types: Tensor | None = None,
        layout: Layout | None = None,
        index: Tensor | None = None,
    ) -> PretrainingLogits:
        output = self.encode(ids, types, layout)
        assert output.pooled is not None
        sentences = self.cls.seq_relationship(output.pooled)
        return PretrainingLogits(self.words(output.hidden, layout, index), sentences)


MODELS: dict[str, type[Headed]] = {
    model.head: model
    for model in (
        Classifier, Regressor, Span, Tagger, MultipleChoice, MaskedLM, NextSentence, Pretraining,
    )
}  # fmt: skip
