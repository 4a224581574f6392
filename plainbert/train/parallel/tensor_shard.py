"""Which part of a larger tensor a rank holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class TensorShard:
    """A block of a tensor that may lie spread over ranks.

    Attributes:
        tensor: the block.
        offsets: where the block begins in the whole tensor, in every dimension.
        size: of the whole tensor, in every dimension.
    """

    tensor: Tensor
    offsets: tuple[int, ...]
    size: tuple[int, ...]

    @classmethod
    def whole(cls, tensor: Tensor) -> TensorShard:
        """The shard that is everything."""
        return cls(tensor, (0,) * tensor.dim(), tuple(tensor.shape))

    def of(self, whole: Tensor) -> Tensor:
        """The same block of another tensor of that size; a view."""
        for dim, (start, length) in enumerate(zip(self.offsets, self.tensor.shape, strict=True)):
            whole = whole.narrow(dim, start, length)
        return whole

    def on_cpu(self, copy: bool = False) -> TensorShard:
        """The shard on the CPU; a copy where the caller wants one, or where it was elsewhere."""
        return replace(self, tensor=self.tensor.detach().to("cpu", copy=copy))
