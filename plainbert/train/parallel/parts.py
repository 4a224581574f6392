"""Which part of a larger tensor a rank holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True)
class Part:
    """A block of a tensor.

    Attributes:
        tensor: the block.
        offsets: where it begins in the whole, in every dimension.
        size: of the whole.
    """

    tensor: Tensor
    offsets: tuple[int, ...]
    size: tuple[int, ...]

    @classmethod
    def whole(cls, tensor: Tensor) -> Part:
        """The part that is everything."""
        return cls(tensor, (0,) * tensor.dim(), tuple(tensor.shape))

    def of(self, whole: Tensor) -> Tensor:
        """The same block of another tensor of that size; a view."""
        for dim, (start, length) in enumerate(zip(self.offsets, self.tensor.shape, strict=True)):
            whole = whole.narrow(dim, start, length)
        return whole

    def on_cpu(self, copy: bool = False) -> Part:
        """The part on the CPU; a copy where asked for, or where it was elsewhere."""
        return replace(self, tensor=self.tensor.detach().to("cpu", copy=copy))
