"""GPUs as the system shows them, before torch is imported."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import metadata

from plainbert.errors import DeviceError

# Where Linux shows GPUs: NVIDIA's, AMD's, those of a Windows host.
DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def check(index: int | None) -> None:
    """Refuse a GPU where there is surely none.

    Args:
        index: of the GPU that was asked for; None where none was.

    Raises:
        DeviceError: torch is built for the CPU, or Linux shows no GPU.
    """
    if index is None or sys.platform != "linux":
        return
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version("torch")
        built = f" (torch {version} is built for the CPU only)" if version.endswith("+cpu") else ""
        if built or not any(map(os.path.exists, DEVICES)):
            raise missing(index, f"this machine has none that torch can use{built}")


def missing(index: int, have: str) -> DeviceError:
    """What to say about a GPU that was asked for and is not there.

    Args:
        index: of the GPU.
        have: what there is, behind "but".
    """
    return DeviceError(
        f"GPU {index} was asked for, but {have}. Leave --gpu and --gpus out to run on what there "
        "is, or give --gpus '' for the CPU."
    )
