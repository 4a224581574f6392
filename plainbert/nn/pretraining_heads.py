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


class Predictions(nn.Module):
    """Logits over the vocabulary; its matrix is the word embedding's.

    Attributes:
        low: 16-bit copies of that matrix and of the bias, as in
            :class:`plainbert.nn.linear.Linear`.
        sink: see :func:`plainbert.nn.linear.product`.
    """

    low: tuple[Tensor, Tensor] | None = None
    sink: Tensor | None = None

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        hidden = self.transform(hidden)
        if self.low is not None and self.training:
            return product(hidden, [embedding], [self.bias], self.low, self.sink)
        return F.linear(hidden, embedding, self.bias)  # (..., V)


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
        self.cls = PretrainingHeads(config, words=False, sentences=True)

    def forward(
        self, ids: Tensor, types: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        logits: Tensor = self.cls.seq_relationship(self.pooled(ids, types, layout))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> Loss:
        """Cross entropy."""
        return cross_entropy(logits, labels)


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
