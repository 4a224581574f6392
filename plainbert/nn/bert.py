"""BERT: embeddings, encoder, pooler. Parameter names are Hugging Face's ``BertModel``'s.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`. ``...`` is the shape
of the ids: (T,) packed, (B, L) padded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.config import BertConfig
from plainbert.errors import ShapeError
from plainbert.nn.dropout import dropout
from plainbert.nn.layout import Layout, Padded
from plainbert.nn.linear import Linear, product
from plainbert.nn.norm import add_norm


class Output(NamedTuple):
    """What BERT computes.

    Attributes:
        hidden: last layer asked for; (..., D).
        pooled: tanh of a linear map of [CLS]; (B, D). None when there is no pooler.
        layers: the embedding output, then every layer, when asked for; each (..., D).
    """

    hidden: Tensor
    pooled: Tensor | None
    layers: tuple[Tensor, ...] | None


def activation(name: str) -> nn.Module:
    """The feed-forward activation of a config; "gelu" is the erf form, as in the paper's code."""
    if name == "relu":
        return nn.ReLU()
    return nn.GELU(approximate="none" if name == "gelu" else "tanh")


class Embeddings(nn.Module):
    """Sum of word, position and token-type vectors, normalised.

    Attributes:
        sparse: whether the word vectors' gradient holds only the rows of the batch. The optimizers
            of :mod:`plainbert.train` set it; others may not take such gradients.
    """

    sparse = False

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: Tensor, types: Tensor | None, positions: Tensor) -> Tensor:
        words = F.embedding(ids, self.word_embeddings.weight, sparse=self.sparse)
        total = words + self.position_embeddings(positions)  # (..., D)
        if types is None:
            total = total + self.token_type_embeddings.weight[0]
        else:
            total = total + self.token_type_embeddings(types)
        normed = self.LayerNorm(total)
        return dropout(normed, self.dropout.p if self.training else 0.0)


class SelfAttention(nn.Module):
    """Multi-head self-attention, without the output projection, residual or norm.

    Attributes:
        copy_16_bit: 16-bit weight and bias of the three maps in one, as in :class:`Linear`.
    """

    copy_16_bit: tuple[Tensor, Tensor] | None = None

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = (config.num_attention_heads, config.head_size)
        self.dropout = config.attention_probs_dropout_prob
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.value = Linear(width, width)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        q, k, v = self.project(hidden).unflatten(-1, (3, *self.heads)).unbind(-3)  # (..., N, H)
        mixed = layout.attend(q, k, v, self.dropout if self.training else 0.0)
        return mixed.flatten(-2)  # (..., N, H) -> (..., D)

    def project(self, hidden: Tensor) -> Tensor:
        """Queries, keys and values in one matrix product: (..., D) -> (..., 3 * D)."""
        maps = (self.query, self.key, self.value)
        weights: list[Tensor] = [linear.weight for linear in maps]
        biases: list[Tensor] = [linear.bias for linear in maps]
        if self.copy_16_bit is not None and self.training:
            return product(hidden, weights, biases, self.copy_16_bit)
        return F.linear(hidden, torch.cat(weights), torch.cat(biases))


class Residual(nn.Module):
    """Linear map, dropout, sum with what came in before, norm."""

    def __init__(self, inputs: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        share = self.dropout.p if self.training else 0.0
        return add_norm(self.dense(x), before, self.LayerNorm, share)


class Attention(nn.Module):
    """Self-attention with its output projection."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Residual(config.hidden_size, config)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        mixed: Tensor = self.output(self.self(hidden, layout), hidden)
        return mixed


class Intermediate(nn.Module):
    """The wide half of the feed-forward network."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)

    def forward(self, hidden: Tensor) -> Tensor:
        wide: Tensor = self.activation(self.dense(hidden))
        return wide


class Layer(nn.Module):
    """One encoder layer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Residual(config.intermediate_size, config)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        mixed = self.attention(hidden, layout)
        normed: Tensor = self.output(self.intermediate(mixed), mixed)
        return normed


class Encoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class Pooler(nn.Module):
    """tanh of a linear map of the first token's vector."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, first: Tensor) -> Tensor:
        return torch.tanh(self.dense(first))


class Bert(nn.Module):
    """The encoder, over a packed or a padded batch.

    Args:
        config: sizes.
        pooler: whether to have the [CLS] pooler.

    Source:
        Devlin et al. 2019 (arXiv:1810.04805); google-research/bert, modeling.py, BertModel.
    """

    def __init__(self, config: BertConfig, pooler: bool = True) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if pooler else None
        initialize(self, config)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        layout: Layout | None = None,
        every_layer: bool = False,
        depth: int | None = None,
        pool: bool = True,
    ) -> Output:
        """Run the encoder.

        Args:
            input_ids: (T,) with a packed ``layout``, else (B, L).
            token_type_ids: segment of each token, same shape; all 0 when not given.
            attention_mask: (B, L), non-zero at tokens; all tokens when not given. Padded only.
            layout: where the sequences lie; made from the mask when not given.
            every_layer: also return the embedding output and each layer's.
            depth: layers to run, counted from the input; all when not given.
            pool: run the pooler, if there is one.

        Returns:
            :class:`Output`; ``pooled`` is computed only at full depth.

        Raises:
            ShapeError: packed ids without a layout.
        """
        if layout is None:
            if input_ids.dim() != 2:
                raise ShapeError(
                    f"input_ids have shape {tuple(input_ids.shape)} and there is no layout; give "
                    "(B, L) ids, or a Packed layout with (T,) ids."
                )
            layout = Padded(
                torch.ones_like(input_ids) if attention_mask is None else attention_mask
            )
        hidden = self.embeddings(input_ids, token_type_ids, layout.positions())
        layers = [hidden]
        if layout.pad_rows:
            hidden = F.pad(hidden, (0, 0, 0, layout.pad_rows))  # (T, D) -> (T + pad_rows, D)
        for layer in self.encoder.layer[:depth]:
            hidden = layer(hidden, layout)
            if every_layer:
                layers.append(hidden)
        if layout.pad_rows:
            hidden, *layers = (states[: len(input_ids)] for states in (hidden, *layers))
        full = depth is None or depth >= self.config.num_hidden_layers
        pooled = None
        if pool and full and self.pooler is not None:
            pooled = self.pooler(layout.first(hidden))
        return Output(hidden, pooled, tuple(layers) if every_layer else None)


def initialize(module: nn.Module, config: BertConfig) -> None:
    """Draw fresh weights: normal with the config's deviation, biases 0, norms the identity."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=config.initializer_range)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
