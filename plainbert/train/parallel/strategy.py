"""How the processes of a run share its steps. Here: one process that shares with nobody.

:mod:`plainbert.train.parallel.ddp` and :mod:`plainbert.train.parallel.fsdp` have the ways
to share: each overrides what it does differently.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from plainbert.train.mixed import Mixed
from plainbert.train.parallel.parts import Part


class ParallelStrategy:
    """A single process.

    Attributes:
        rank: of this process, in [0, size).
        size: processes that share every step.
        spread: whether each rank holds only a part of the optimizer's slots.
    """

    rank: int = 0
    size: int = 1
    spread: bool = False

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> Mixed:
        """Make the ranks' weights equal, place them, and make the 16-bit copies.

        Called once, when the weights are loaded and before there is an optimizer.
        """
        return Mixed(model, dtype)

    def parameters(self, model: nn.Module) -> list[tuple[str, nn.Parameter]]:
        """What the optimizer sees: parameters, or this rank's parts of them, by name."""
        return list(model.named_parameters())

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

    def norms(self, tensors: list[Tensor]) -> Iterable[Tensor]:
        """Norm of each tensor of which this rank holds all, or the part it updates."""
        return torch._foreach_norm(tensors)

    def share_weights(self) -> None:
        """The optimizer has updated the parameters that this rank owns."""

    def barrier(self) -> None:
        """Wait for all ranks."""

    @contextlib.contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
        """Inside, this rank may run the model as often as it likes, whatever the others do."""
        yield

    def plain(self, model: Any) -> Any:
        """A model with the same weights that can be copied, wherever they are; all must call."""
        return model

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The whole state dict on rank 0, nothing on the others; all must call."""
        return dict(model.state_dict()) if self.rank == 0 else {}

    def parts(self, slots: Mapping[str, Tensor]) -> dict[str, Part]:
        """Where the optimizer's slots of this rank lie in the whole ones."""
        return {name: Part.whole(slot) for name, slot in slots.items()}

    def checkpoint_group(self) -> Any:
        """A process group for checkpoints only; all ranks must call."""
        return None

    def release(self) -> None:
        """The run is over: leave the model's gradients alone."""


ALONE = ParallelStrategy()
