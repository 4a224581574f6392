"""16-bit matrix products in training, with weights and sums in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plainbert.nn.bert import SelfAttention
from plainbert.nn.linear import Linear
from plainbert.nn.pretraining_heads import Predictions, WithPredictions

Owner = SelfAttention | Linear | Predictions


class Mixed:
    """The 16-bit copies of a model's matrices; see :class:`plainbert.nn.linear.Linear`.

    The encoder's matrices take part, and the one over the vocabulary that predicts masked words:
    embeddings, norms, residual sums, pooler, small heads and loss stay in float32, and so do the
    weights that the optimizer changes.

    Args:
        model: anything with encoder layers; float32, on its device.
        dtype: ``torch.bfloat16`` or ``torch.float16``; other types mean no copies.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self._owners: list[Owner] = []
        self._copies: list[Tensor] = []  # parts of the copies ...
        self._masters: list[Tensor] = []  # ... and what they are copies of
        if dtype.itemsize != 2:
            return
        joined = {
            id(part)
            for module in model.modules()
            if isinstance(module, SelfAttention)
            for part in (module.query, module.key, module.value)
        }
        for module in model.modules():
            if isinstance(module, SelfAttention):
                self._copy(module, [module.query, module.key, module.value], dtype)
            elif isinstance(module, Linear) and id(module) not in joined:
                self._copy(module, [module], dtype)
            elif isinstance(module, WithPredictions):
                words = module.bert.embeddings.word_embeddings.weight
                head = module.cls.predictions
                self._join(head, [words], [head.bias], dtype)
        self.refresh()

    def refresh(self) -> None:
        """Copy the weights again: they have changed."""
        if self._copies:
            with torch.no_grad():
                torch._foreach_copy_(self._copies, self._masters)

    def remove(self) -> None:
        """Free the copies."""
        for owner in self._owners:
            owner.low = None
        self._owners, self._copies, self._masters = [], [], []

    def _copy(self, owner: SelfAttention | Linear, maps: list[Linear], dtype: torch.dtype) -> None:
        self._join(owner, [each.weight for each in maps], [each.bias for each in maps], dtype)

    def _join(
        self, owner: Owner, weights: list[Tensor], biases: list[Tensor], dtype: torch.dtype
    ) -> None:
        joined = []
        for masters in (weights, biases):
            low = torch.cat([each.detach() for each in masters]).to(dtype)
            self._copies += low.split([len(each) for each in masters])
            self._masters += masters
            joined.append(low)
        owner.low = (joined[0], joined[1])
        self._owners.append(owner)
