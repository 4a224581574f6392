"""What training keeps on a model's modules beside their weights, and how all of it goes again.

Two things: 16-bit copies of matrices, with weights and sums in float32; and, on the CPU, the word
vectors' gradient as rows of a buffer. Neither is in the state dict.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import TracebackType

import torch
from torch import Tensor, nn

from plainbert.nn.bert import Embeddings, SelfAttention
from plainbert.nn.headed import Headed
from plainbert.nn.linear import Linear
from plainbert.nn.pretraining_heads import PredictionHead, WithPredictions
from plainbert.train.optim import Optimizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy

Owner = SelfAttention | Linear | PredictionHead

# Attributes of instances; without them the class's own count, which stand for a plain model.
_ATTRIBUTES: tuple[tuple[type[nn.Module], str], ...] = (
    (SelfAttention, "copy_16_bit"),
    (Linear, "copy_16_bit"),
    (PredictionHead, "copy_16_bit"),
    (PredictionHead, "gradient_buffer"),
    (Embeddings, "sparse"),
)


class ModuleState(contextlib.AbstractContextManager["ModuleState"]):
    """A model in training; when the context ends, however it ends, the model is plain again.

    Plain means: no 16-bit copies, no gradients nor hooks that collect them, evaluation mode.

    Args:
        model: float32, on its device.
        dtype: of the copies; types of more than 16 bits mean no copies.
        ranks: how processes share the steps; its hooks on the model go too.
    """

    def __init__(
        self,
        model: Headed,
        dtype: torch.dtype = torch.float32,
        ranks: ParallelStrategy = ALONE,
    ) -> None:
        self.model, self.ranks = model, ranks
        self._copies: list[Tensor] = []  # parts of the copies ...
        self._masters: list[Tensor] = []  # ... and what they are copies of
        self.copy_weights(dtype)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ranks.release()
        self.remove()
        self.model.zero_grad(set_to_none=True)
        self.model.eval()

    def prepare(self, dtype: torch.dtype) -> None:
        """Place the weights as the ranks share them, and copy them.

        Args:
            dtype: of the matrix products.
        """
        self.ranks.prepare(self.model, dtype)
        if not self.ranks.own_precision:
            self.copy_weights(dtype)

    def copy_weights(self, dtype: torch.dtype) -> None:
        """Give the modules 16-bit copies; see :class:`plainbert.nn.linear.Linear`.

        The encoder's matrices get some, and the one over the vocabulary that predicts masked words:
        embeddings, norms, residual sums, pooler, small heads and loss stay in float32, and so do
        the weights that the optimizer changes.

        Args:
            dtype: ``torch.bfloat16`` or ``torch.float16``; other types mean no copies.
        """
        if dtype.itemsize != 2:
            return
        joined = {
            id(linear)
            for module in self.model.modules()
            if isinstance(module, SelfAttention)
            for linear in (module.query, module.key, module.value)
        }
        for module in self.model.modules():
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

    def gather_word_gradients(self, optimizer: Optimizer) -> None:
        """Let the word vectors' gradient be gathered in the optimizer's gradient buffer.

        The rows of the batch come as a sparse gradient; the head that predicts masked words, whose
        matrix it is too, adds the whole of its own, where it computes in 16 bits.

        Args:
            optimizer: of the model's parameters.
        """
        names = {id(parameter): name for name, parameter in optimizer.parameters.items()}
        for module in self.model.modules():
            if isinstance(module, Embeddings):
                module.sparse = True
            if (
                isinstance(module, WithPredictions)
                and module.cls.predictions.copy_16_bit is not None
            ):
                name = names.get(id(module.bert.embeddings.word_embeddings.weight))
                if name is not None:  # else it is frozen
                    module.cls.predictions.gradient_buffer = optimizer.gradient_buffer(name)

    def remove(self) -> None:
        """Free what the modules were given; their mode and gradients stay."""
        for module in self.model.modules():
            for owner, name in _ATTRIBUTES:
                if isinstance(module, owner):
                    vars(module).pop(name, None)
        self._copies, self._masters = [], []

    def _copy(
        self, owner: SelfAttention | Linear, linears: list[Linear], dtype: torch.dtype
    ) -> None:
        weights, biases = [part.weight for part in linears], [part.bias for part in linears]
        self._join(owner, weights, biases, dtype)

    def _join(
        self, owner: Owner, weights: Sequence[Tensor], biases: Sequence[Tensor], dtype: torch.dtype
    ) -> None:
        """One copy of matrices below each other, and one of their biases."""
        joined = []
        for masters in (weights, biases):
            copy = torch.cat([master.detach() for master in masters]).to(dtype)
            self._copies += copy.split([len(master) for master in masters])
            self._masters += masters
            joined.append(copy)
        owner.copy_16_bit = (joined[0], joined[1])
