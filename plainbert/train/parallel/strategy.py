"""How the processes of a run share its steps. Here: one process that shares with nobody.

The ways to share are in :mod:`plainbert.train.parallel.ddp`, :mod:`plainbert.train.parallel.zero1`
and :mod:`plainbert.train.parallel.fsdp`: each overrides what it does differently.
:mod:`plainbert.train.parallel.choose` picks one by name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from plainbert.train.parallel.tensor_shard import TensorShard


class ParallelStrategy:
    """A single process, and what every way to share must be able to do.

    A step calls, in this order: :meth:`sum` with the counts of the global batch; for each
    micro-batch :meth:`before_forward`; after the last backward pass :meth:`sum` with the losses,
    :meth:`sum_gradients`, :meth:`norm` and, once the weights are updated, :meth:`share_weights`.

    Attributes:
        rank: of this process, in [0, size).
        size: processes that share every step.
        shards_optimizer: whether each rank holds only a part of the optimizer state.
        own_precision: whether the strategy itself sees to 16-bit matrix products.
    """

    rank: int = 0
    size: int = 1
    shards_optimizer: bool = False
    own_precision: bool = False

    # Before and after the run.

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Make the ranks' weights equal, and place them.

        Called once, when the weights are loaded and before there is an optimizer.

        Args:
            model: on its device.
            dtype: of the matrix products.
        """

    def parameters(self, model: nn.Module) -> list[tuple[str, nn.Parameter]]:
        """What the optimizer sees: parameters, or this rank's shards of them, by name."""
        return list(model.named_parameters())

    def owned(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> frozenset[str] | None:
        """Names of the parameters that this rank updates; None: all."""
        return None

    def release(self) -> None:
        """The run is over: take all hooks off the model."""

    # Within a step.

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
        norms = torch.stack([norm.to(torch.float64) for norm in torch._foreach_norm(gradients)])
        return float(torch.linalg.vector_norm(norms))

    def norms(self, tensors: list[Tensor]) -> Iterable[Tensor]:
        """Norm of each tensor of which this rank holds all, or the shard it updates."""
        return torch._foreach_norm(tensors)

    def share_weights(self) -> None:
        """The optimizer has updated the parameters that this rank owns: send them to the others."""

    # Between steps.

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

    def optimizer_shards(self, state: Mapping[str, Tensor]) -> dict[str, TensorShard]:
        """Where this rank's tensors of the optimizer state lie in the whole ones.

        Args:
            state: of :meth:`plainbert.train.optim.Optimizer.state`.
        """
        return {name: TensorShard.whole(tensor) for name, tensor in state.items()}

    def checkpoint_group(self) -> Any:
        """A process group for checkpoints only; all ranks must call."""
        return None


ALONE = ParallelStrategy()
