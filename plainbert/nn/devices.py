"""Where a model is to compute, as callers in Python name it."""

from __future__ import annotations

from typing import Any

import torch

from plainbert import arguments
from plainbert.errors import DeviceError, UsageError


def device_of(value: Any, name: str = "device") -> torch.device:
    """The device that a caller names.

    Args:
        value: "cpu", "cuda", "cuda:0", or a device of torch's.
        name: how the caller calls it.

    Raises:
        UsageError: it names no device.
        DeviceError: this machine does not have it.
    """
    try:
        if not isinstance(value, str | torch.device):
            raise TypeError(value)
        device = torch.device(value)
    except (RuntimeError, TypeError):
        raise UsageError(
            f"{name}={arguments.short(value)} is not a device. Expected cpu, cuda or cuda:0."
        ) from None
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise DeviceError(f"{name}={str(device)!r}: this machine has {count} CUDA devices.")
    return device
