"""The number format of matrix products: decided once, from a name and a device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from plainbert import arguments
from plainbert.errors import UnknownNameError
from plainbert.infer.devices import multiplies_bfloat16


@dataclass(frozen=True)
class Precision:
    """A number format of matrix products.

    Attributes:
        dtype: of the factors.
    """

    dtype: torch.dtype

    def __str__(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def is_16_bit(self) -> bool:
        """Whether a number takes two bytes."""
        return self.dtype.itemsize == 2


FLOAT32 = Precision(torch.float32)
PRECISIONS = {
    str(precision): precision
    for precision in (
        Precision(torch.float64),  # for comparisons; no script computes in it unasked
        FLOAT32,
        Precision(torch.bfloat16),
        Precision(torch.float16),
    )
}


def choose_precision(name: str, device: torch.device) -> Precision:
    """The number format of the matrix products.

    Args:
        name: "float64", "float32", "bfloat16", "float16", or "auto": bfloat16 where ``device``
            multiplies it natively, else float32 (never float16, whose range needs loss scaling).
        device: where the model will run.

    Raises:
        UsageError: ``name`` is no text.
        UnknownNameError: ``name`` is none of these.
    """
    if arguments.text("dtype", name) == "auto":
        return PRECISIONS["bfloat16" if multiplies_bfloat16(device) else "float32"]
    if name not in PRECISIONS:
        raise UnknownNameError("dtype", name, ("auto", *PRECISIONS))
    return PRECISIONS[name]
