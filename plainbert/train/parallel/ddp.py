"""``ddp``: ranks that each hold the whole model and make the same update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from plainbert.distributed.group import Group
from plainbert.train.parallel.buckets import Buckets
from plainbert.train.parallel.strategy import ParallelStrategy


class DDP(ParallelStrategy):
    """Every rank has all weights and makes the same update from the summed gradients.

    Args:
        group: the ranks.
        compression: of gradients, one of :data:`plainbert.train.names.GRAD_COMPRESSIONS`.
    """

    def __init__(self, group: Group, compression: str = "none") -> None:
        self.group, self.compression = group, compression
        self.rank, self.size = group.rank, group.size
        self._buckets: Buckets | None = None

    @property
    def buckets(self) -> Buckets:
        """The gradients; there once the model is prepared."""
        assert self._buckets is not None, "prepare() comes first"
        return self._buckets

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> None:
        self.release()
        self.group.broadcast([tensor.detach() for tensor in model.state_dict().values()])
        self._buckets = Buckets(list(model.parameters()), self.group, self.compression)

    def sum(self, tensors: list[Tensor]) -> None:
        if self._buckets is not None:
            self._buckets.flush()  # a rank without some gradient must not overtake the others
        self.group.reduce(tensors)

    def before_forward(self, last: bool) -> None:
        self.buckets.begin(last)

    def sum_gradients(self, gradients: list[Tensor]) -> None:
        self.buckets.finish()

    def norm(self, gradients: list[Tensor]) -> float:
        # A parameter may have its gradient from other ranks only.
        return super().norm(self.buckets.gradients())

    def barrier(self) -> None:
        self.group.barrier()

    def checkpoint_group(self) -> Any:
        return self.group.new_gloo_group()

    def release(self) -> None:
        if self._buckets is not None:
            self._buckets.remove()
            self._buckets = None
