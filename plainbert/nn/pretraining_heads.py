"""The heads that BERT is pre-trained with: masked words and next sentence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.config import BertConfig
from plainbert.nn.bert import activation, initialize
from plainbert.nn.headed import Headed, Loss, cross_entropy
from plainbert.nn.layout import Layout
from plainbert.nn.linear import product


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


class PredictionHead(nn.Module):
    """Logits over the vocabulary; its matrix is the word embedding's.

    Attributes:
        copy_16_bit: 16-bit copies of that matrix and of the bias, as in
            :class:`plainbert.nn.linear.Linear`.
        gradient_buffer: where the gradient of the word vectors is added up, see
            :func:`plainbert.nn.linear.product`.
    """

    copy_16_bit: tuple[Tensor, Tensor] | None = None
    gradient_buffer: Tensor | None = None

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.transform(hidden)
        if self.copy_16_bit is not None and self.training:
            return product(hidden, [embedding], [self.bias], self.copy_16_bit, self.gradient_buffer)
        return F.linear(hidden, embedding, self.bias)  # (..., V)


class PretrainingHeads(nn.Module):
    """The masked-language-model head, the next-sentence head, or both.

    Args:
        config: sizes.
        mlm: whether to have the first.
        nsp: whether to have the second.
    """

    def __init__(self, config: BertConfig, mlm: bool, nsp: bool) -> None:
        super().__init__()
        if mlm:
            self.predictions = PredictionHead(config)
        if nsp:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)
        initialize(self, config)


class WithPredictions(Headed):
    """A model that predicts masked tokens, alone or among other things."""

    cls: PretrainingHeads

    def mlm(self, hidden: Tensor, layout: Layout | None, index: Tensor | None) -> Tensor:
        """Logits over the vocabulary.

        Args:
            hidden: (..., D)
            layout: where the sequences lie; needed with ``index``.
            index: (M, 2), sequence and position of the tokens to predict; every token when None.

        Returns:
            (M, V), or (..., V).
        """
        if index is not None:
            assert layout is not None
            hidden = hidden.flatten(0, -2)[layout.rows(index)]  # (M, D)
        logits: Tensor = self.cls.predictions(hidden, self.bert.embeddings.word_embeddings.weight)
        return logits


class MaskedLM(WithPredictions):
    """The word at each token, or only at chosen ones.

    Shape:
        - index: (M, 2), sequence and position of the masked tokens; every token when not given.
        - logits: (M, V), or (..., V)
        - labels: (M,), or (...) with ``IGNORE``.
    """

    head = "masked_lm"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)
        self.cls = PretrainingHeads(config, mlm=True, nsp=False)

    def forward(
        self,
        ids: Tensor,
        types: Tensor | None = None,
        layout: Layout | None = None,
        index: Tensor | None = None,
    ) -> Tensor:
        return self.mlm(self.encode(ids, types, layout).hidden, layout, index)

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy over the masked tokens."""
        return cross_entropy(logits, labels)


class NextSentence(Headed):
    """Whether the second segment follows the first; class 0 means it does.

    Shape:
        - logits: (B, 2)
        - labels: (B,)
    """

    head = "next_sentence"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True)
        self.cls = PretrainingHeads(config, mlm=False, nsp=True)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.cls.seq_relationship(self.pooled(ids, types, layout))
        return logits

    def loss(self, logits: Tensor, labels: Tensor, layout: Layout) -> Loss:
        """Cross entropy."""
        return cross_entropy(logits, labels)


class PretrainingOutputs(NamedTuple):
    """Logits of both heads, or their labels.

    Attributes:
        mlm: logits (M, V) or (..., V); labels (M,), or (...) with ``IGNORE``.
        nsp: logits (B, 2); labels (B,), ``IGNORE`` where there is none.
    """

    mlm: Tensor
    nsp: Tensor


class Pretraining(WithPredictions):
    """Masked words and next sentence together.

    Shape:
        - index: (M, 2), sequence and position of the masked tokens; every token when not given.
        - logits, labels: see :class:`PretrainingOutputs`.
    """

    head = "pretraining"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True)
        self.cls = PretrainingHeads(config, mlm=True, nsp=True)

    def forward(
        self,
        ids: Tensor,
        types: Tensor | None = None,
        layout: Layout | None = None,
        index: Tensor | None = None,
    ) -> PretrainingOutputs:
        output = self.encode(ids, types, layout)
        assert output.pooled is not None
        nsp = self.cls.seq_relationship(output.pooled)
        return PretrainingOutputs(self.mlm(output.hidden, layout, index), nsp)

    def loss(self, logits: PretrainingOutputs, labels: PretrainingOutputs, layout: Layout) -> Loss:
        """The two means added up, as published; a sum over one batch.

        Training divides each loss by its own count of the whole global batch instead, see
        ``tasks/pretraining``.
        """
        parts = [cross_entropy(*pair) for pair in zip(logits, labels, strict=True)]
        total = torch.stack([part.total / part.number.clamp(min=1) for part in parts]).sum()
        return Loss(total, torch.ones_like(parts[0].number))
