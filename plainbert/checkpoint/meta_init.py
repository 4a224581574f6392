"""Build a model without memory or values, for weights that are about to come from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# What draws fresh values: torch's modules call them when they are made. A weight drawn for nothing
# takes ten times as long as making the module.
DRAWING = {
    "normal_", "uniform_", "zeros_", "zero_", "ones_", "fill_", "constant_", "kaiming_uniform_",
    "xavier_uniform_", "trunc_normal_",
}  # fmt: skip
MAKING = (torch.empty, torch.zeros, torch.ones)


class MetaInit(TorchFunctionMode):
    """Modules made inside have parameters without memory, on the meta device.

    ``checkpoint.load`` gives each its stored tensor::

        with Blank():
            model = Bert(config)
        checkpoint.load(model, tensors)
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DRAWING:
            return args[0] if args else kwargs["tensor"]
        if func in MAKING:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)
