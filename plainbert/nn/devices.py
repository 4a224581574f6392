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
    known = available()
    here = f"This machine has {' and '.join(known)}."
    try:
        if not isinstance(value, str | torch.device):
            raise TypeError(value)
        device = torch.device(value)
    except (RuntimeError, TypeError):
        raise UsageError(
            f"{name}={arguments.short(value)} is not a device. {here} Expected one of them as a "
            "text, or nothing for the best."
        ) from None
    # The first of a kind may be named without its number.
    if not {str(device), f"{device}:0"} & {*known} and str(device) != "cpu:0":
        why = ""
        if device.type == "cuda" and not (torch.version.cuda or torch.version.hip):
            why = f" (torch {torch.__version__} is built for the CPU only)"
        raise DeviceError(f"{name}={str(device)!r}: there is no such device{why}. {here}")
    return device


def available() -> list[str]:
    """Names of the devices that torch can compute on here."""
    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps:0")
    return names
