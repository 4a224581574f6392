"""The same model with faster leaves, for inference. Nothing prepared is ever saved.

Attention, layers and heads are the code of ``nn``; only what multiplies by a weight or looks one
up is replaced. A prepared model shares with the original every tensor that stays as it was.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.infer import compiled
from plainbert.infer.kernels import FrozenLinear, linear
from plainbert.infer.precision import FLOAT32, Precision
from plainbert.infer.threads import prepare_fork
from plainbert.nn.bert import Embeddings, Intermediate, Residual, SelfAttention
from plainbert.nn.leaves import with_leaves

Model = TypeVar("Model", bound=nn.Module)

_PRECISION = "precision"  # attribute of a prepared body


def prepare(
    model: Model, precision: Precision = FLOAT32, device: torch.device | str = "cpu"
) -> Model:
    """A copy of a model for inference: in evaluation mode, on a device, in a number format.

    Args:
        model: a :class:`~plainbert.nn.bert.Bert`, or one with a head. It is not changed.
        precision: of the encoder's matrix products. Hidden states between them, norms, pooler and
            head keep the weights' own format: it costs little, and keeps bfloat16 vectors at a
            cosine of 0.9999 to float32's.
        device: where the copy computes.

    Returns:
        a model of the same class, to be called without gradients. Its state dict lacks the
        weights that were replaced: save the original.
    """
    prepare_fork()
    device = torch.device(device)
    compiled.keep_few()

    def replace(module: nn.Module) -> nn.Module | None:
        if isinstance(module, SelfAttention):
            return PreparedAttention(module, precision.dtype, device)
        if isinstance(module, Residual):
            return PreparedResidual(module, precision.dtype, device)
        if isinstance(module, Intermediate):
            return PreparedIntermediate(module, precision.dtype, device)
        if isinstance(module, Embeddings):
            return PreparedEmbeddings(module, device)
        return None

    ready = with_leaves(model, replace).to(device)
    setattr(_body(ready), _PRECISION, precision)
    return ready


def precision_of(model: nn.Module) -> Precision | None:
    """The number format that a model was prepared for; None: it was not prepared.

    Args:
        model: a body, or one with a head.
    """
    precision: Precision | None = vars(_body(model)).get(_PRECISION)
    return precision


def _body(model: nn.Module) -> nn.Module:
    body: nn.Module = getattr(model, "bert", model)
    return body


def _map(layers: list[nn.Linear], dtype: torch.dtype, device: torch.device) -> FrozenLinear:
    """Several linear layers of one input as one map; their outputs lie side by side."""
    weights = [layer.weight.detach().to(device, dtype) for layer in layers]
    biases = [layer.bias.detach().to(device, dtype) for layer in layers]
    if len(layers) == 1:
        return linear(weights[0], biases[0])
    return linear(torch.cat(weights), torch.cat(biases))


class PreparedAttention(SelfAttention):
    """Self-attention whose three maps were joined beforehand."""

    def __init__(self, plain: SelfAttention, dtype: torch.dtype, device: torch.device) -> None:
        nn.Module.__init__(self)
        self.heads = plain.heads
        self.dropout = 0.0
        self.joined = _map([plain.query, plain.key, plain.value], dtype, device)

    def project(self, hidden: Tensor) -> Tensor:
        joined: Tensor = self.joined(hidden)
        return joined


class PreparedIntermediate(nn.Module):
    """The wide half of the feed-forward network."""

    def __init__(self, plain: Intermediate, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.dense = _map([plain.dense], dtype, device)
        self.activation = plain.activation

    def forward(self, hidden: Tensor) -> Tensor:
        wide: Tensor = self.activation(self.dense(hidden))
        return wide


class PreparedResidual(nn.Module):
    """Linear map and sum, in one operation where the formats allow it, then the norm."""

    def __init__(self, plain: Residual, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.dense = _map([plain.dense], dtype, device)
        self.LayerNorm = plain.LayerNorm

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense.plus(x, before))
        return normed


class PreparedEmbeddings(nn.Module):
    """Embeddings, with the vectors of the positions and of segment 0 added beforehand."""

    def __init__(self, plain: Embeddings, device: torch.device) -> None:
        super().__init__()
        types = plain.token_type_embeddings.weight.detach().to(device)
        self.word_embeddings = plain.word_embeddings  # the MLM head reads it too
        # (positions, D), each with the vector of segment 0
        self.positions = plain.position_embeddings.weight.detach().to(device) + types[0]
        self.steps = types - types[0]  # from the vector of segment 0 to each segment's
        self.LayerNorm = plain.LayerNorm

    def forward(self, ids: Tensor, types: Tensor | None, positions: Tensor) -> Tensor:
        total = self.word_embeddings(ids) + F.embedding(positions, self.positions)  # (..., D)
        if types is not None:
            total += F.embedding(types, self.steps)
        normed: Tensor = self.LayerNorm(total)
        return normed
