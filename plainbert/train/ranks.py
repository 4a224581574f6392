"""How the processes of a run share its steps. Here: one process that shares with nobody.

:mod:`plainbert.train.distributed` has the ways to share: each overrides what it does differently.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from plainbert.train.mixed import Mixed


class Ranks:
    """A single process.

    Attributes:
        rank: of this process, in [0, size).
        size: processes that share every step.
    """

    rank: int = 0
    size: int = 1

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> Mixed:
        """Make the ranks' weights equal, place them, and make the 16-bit copies.

        Called once, when the weights are loaded and before there is an optimizer.
        """
        return Mixed(model, dtype)

    def owned(self, names: Iterable[tuple[str, nn.Parameter]]) -> frozenset[str] | None:
        """Names of the parameters that this rank updates; None: all."""
        return None

    def sum(self, tensors: list[Tensor]) -> None:
        """Add small tensors (counts, sums of losses) up over all ranks, in place."""

    def before_forward(self, last: bool) -> None:
        """A micro-batch begins; ``last``: its backward pass completes the gradients."""

    def sum_gradients(self, gradients: list[Tensor]) -> None:
        """Add the gradients up over all ranks, in place, after the last backward pass."""

    def norm(self, gradients: list[Tensor]) -> float:
        """Global norm of the summed gradients."""
        if not gradients:
            return 0.0
        parts = torch.stack([each.to(torch.float64) for each in torch._foreach_norm(gradients)])
        return float(torch.linalg.vector_norm(parts))

    def share_weights(self) -> None:
        """The optimizer has updated the parameters that this rank owns."""

    def barrier(self) -> None:
        """Wait for all ranks."""


ALONE = Ranks()
