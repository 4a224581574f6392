"""The same model with faster leaves, for inference. Nothing prepared is ever saved.

Attention, layers and heads are the code of ``nn``; only what multiplies by a weight or looks one
up is replaced. A prepared model shares with the original every tensor that stays as it was.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from plainbert.infer.kernels import FrozenLinear, linear
from plainbert.nn.bert import Embeddings, Intermediate, Residual, SelfAttention

Model = TypeVar("Model", bound=nn.Module)


def prepare(
    model: Model, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Model:
    """A copy of a model for inference: in evaluation mode, on a device, in a number format.

    Args:
        model: a :class:`~plainbert.nn.bert.Bert`, or one with a head. It is not changed.
        dtype: of the encoder's matrix products. Hidden states between them, norms, pooler and
            head keep the weights' own format: it costs little, and keeps bfloat16 vectors at a
            cosine of 0.9999 to float32's.
        device: where the copy computes.

    Returns:
        a model of the same class, to be called without gradients. Its state dict lacks the
        weights that were replaced: save the original.
    """
    device = torch.device(device)
    shared = {id(tensor): tensor.detach() for tensor in (*model.parameters(), *model.buffers())}
    # Deep copies of modules, not of tensors: the memo says that those are copied already.
    prepared = copy.deepcopy(model, memo=dict(shared)).eval()
    _replace(prepared, dtype, device)
    return prepared


def _replace(module: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Put prepared leaves in the place of a module's children, and the rest on the device."""
    for name, child in module.named_children():
        if isinstance(child, SelfAttention):
            setattr(module, name, PreparedAttention(child, dtype, device))
        elif isinstance(child, Residual):
            setattr(module, name, PreparedResidual(child, dtype, device))
        elif isinstance(child, Intermediate):
            setattr(module, name, PreparedIntermediate(child, dtype, device))
        elif isinstance(child, Embeddings):
            setattr(module, name, PreparedEmbeddings(child, device))
        else:
            _replace(child, dtype, device)
    # What is left: the parameters of a pooler or a head.
    for name, parameter in list(module.named_parameters(recurse=False)):
        setattr(module, name, nn.Parameter(parameter.to(device), requires_grad=False))
    for name, buffer in list(module.named_buffers(recurse=False)):
        setattr(module, name, buffer.to(device))


def _map(layers: list[nn.Linear], dtype: torch.dtype, device: torch.device) -> FrozenLinear:
    """Several linear layers of one input as one map; their outputs lie side by side."""
    weights = [layer.weight.detach().to(device, dtype) for layer in layers]
    biases = [layer.bias.detach().to(device, dtype) for layer in layers]
    if len(layers) == 1:
        return linear(weights[0], biases[0])
    return linear(torch.cat(weights), torch.cat(biases))


def _norm(norm: nn.LayerNorm, device: torch.device) -> nn.LayerNorm:
    """The same norm on another device."""
    return copy.deepcopy(norm).to(device).requires_grad_(requires_grad=False)


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
        self.LayerNorm = _norm(plain.LayerNorm, device)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense.plus(x, before))
        return normed


class PreparedEmbeddings(nn.Module):
    """Embeddings, with the vectors of the positions and of segment 0 added beforehand."""

    def __init__(self, plain: Embeddings, device: torch.device) -> None:
        super().__init__()
        types = plain.token_type_embeddings.weight.detach().to(device)
        words = plain.word_embeddings.weight.detach().to(device)
        self.word_embeddings = nn.Embedding.from_pretrained(words)  # the MLM head reads it too
        self.places = plain.position_embeddings.weight.detach().to(device) + types[0]
        self.steps = types - types[0]  # from the vector of segment 0 to each segment's
        self.LayerNorm = _norm(plain.LayerNorm, device)

    def forward(self, ids: Tensor, types: Tensor | None, positions: Tensor) -> Tensor:
        total = self.word_embeddings(ids) + F.embedding(positions, self.places)  # (..., D)
        if types is not None:
            total += F.embedding(types, self.steps)
        normed: Tensor = self.LayerNorm(total)
        return normed


def prepared(model: nn.Module) -> bool:
    """Whether a model was made by :func:`prepare`."""
    return any(isinstance(part, PreparedEmbeddings) for part in model.modules())


def is_narrow(model: nn.Module) -> bool:
    """Whether a prepared model multiplies in 16 bits."""
    maps = (part for part in model.modules() if isinstance(part, FrozenLinear))
    return any(part.bias.element_size() == 2 for part in maps)
