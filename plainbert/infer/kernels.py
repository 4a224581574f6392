"""Linear maps whose weights oneDNN has laid out once, for the processor at hand.

torch's own ``linear`` lays the weight out anew at every call (bfloat16), or goes to MKL, which is
slow on processors of other makers (float32). The operations used here are private to torch: they
are used only where :func:`prepacks` finds that they exist and compute the right numbers.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

log = logging.getLogger(__name__)

# Rows of the products that the layout is chosen for; other numbers of rows work as well.
ROWS = 1024


class FrozenLinear(nn.Module):
    """``x @ weight.T + bias`` in the weight's number format, with weights that are not trained.

    Args:
        weight: (outputs, inputs)
        bias: (outputs,)

    Shape:
        - x: (..., inputs)
        - output: (..., outputs)
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = weight.detach()
        self.bias = bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.bias.dtype), self.weight, self.bias)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The map of ``x`` plus ``other``, which has the output's shape, in the wider format."""
        mapped: Tensor = self(x)
        return mapped + other


class PrepackedLinear(FrozenLinear):
    """The same through oneDNN, from a weight in oneDNN's own layout."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__(_prepack(weight.detach()), bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.bias.dtype)
        mapped: Tensor = _pointwise(x, self.weight, self.bias, "none", [], "")
        return mapped

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        if other.dtype != self.bias.dtype:
            return super().plus(x, other)
        x = x.to(self.bias.dtype)
        mapped: Tensor = _pointwise.binary(x, other, self.weight, self.bias, "add")
        return mapped


def linear(weight: Tensor, bias: Tensor) -> FrozenLinear:
    """The fastest map for this weight's device and number format."""
    packs = weight.device.type == "cpu" and prepacks(weight.dtype)
    return (PrepackedLinear if packs else FrozenLinear)(weight, bias)


@functools.cache
def prepacks(dtype: torch.dtype) -> bool:
    """Whether this torch has the prepacked operations for a number format, and they are right.

    They are compared with the same product in float64.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        right = _self_check(dtype)
    except (AttributeError, RuntimeError, TypeError) as error:
        log.debug("no prepacked linear maps in %s: %s", dtype, error)
        return False
    if not right:
        log.warning("torch %s: prepacked linear maps are wrong; not used.", torch.__version__)
    return right


def _self_check(dtype: torch.dtype) -> bool:
    """Compare both forms, for a few rows and for many, with the product in float64."""
    random = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(48, 32, generator=random), torch.randn(48, generator=random)
    weight, bias = weight.to(dtype), bias.to(dtype)
    packed = PrepackedLinear(weight, bias)
    for rows in (1, 37):
        x = torch.randn(rows, 32, generator=random).to(dtype)
        other = torch.randn(rows, 48, generator=random).to(dtype)
        expected = F.linear(x.double(), weight.double(), bias.double())
        for got, right in (
            (packed(x), expected),
            (packed.plus(x, other), expected + other.double()),
        ):
            # A few roundings of numbers of about 6 (the root of 32).
            close = torch.allclose(got.double(), right, rtol=0, atol=64 * torch.finfo(dtype).eps)
            if got.dtype != dtype or not close:
                return False
    return True


def _prepack(weight: Tensor) -> Tensor:
    packed: Tensor = _mkldnn("_reorder_linear_weight")(weight.contiguous(), ROWS)
    return packed


class _Pointwise:
    """The private operation, looked up when it is first called."""

    def __call__(self, *arguments: Any) -> Any:
        return _mkldnn("_linear_pointwise")(*arguments)

    def binary(self, *arguments: Any) -> Any:
        return _mkldnn("_linear_pointwise").binary(*arguments)


_pointwise = _Pointwise()


@functools.cache
def _mkldnn(name: str) -> Any:
    """An operation of oneDNN; AttributeError where this torch has none."""
    return getattr(torch.ops.mkldnn, name)
