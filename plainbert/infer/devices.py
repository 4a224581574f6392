"""Where to compute, and what that hardware can do."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import torch

from plainbert.errors import DeviceError
from plainbert.infer.gpus import missing


def pick_device(gpu: int | None = None, gpus: Sequence[int] | None = None) -> torch.device:
    """The device a script runs on.

    Args:
        gpu: index given with ``--gpu``.
        gpus: indices given with ``--gpus``; an empty sequence asks for the CPU.

    Returns:
        the GPU that was asked for; with neither argument the first GPU if there is one, else the
        CPU.

    Raises:
        DeviceError: there is no such GPU, or more than one is asked for.
    """
    if gpus is not None and len(gpus) > 1:
        listed = ",".join(map(str, gpus))
        raise DeviceError(
            f"--gpus {listed} asks for {len(gpus)} GPUs, and this script computes on one. Give one "
            f"of them (--gpu {gpus[0]})."
        )
    if gpus is not None and not gpus:
        return torch.device("cpu")
    index = gpus[0] if gpus else gpu
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index is None:
        return torch.device("cuda", 0) if count else torch.device("cpu")
    if not 0 <= index < count:
        have = f"this machine has {count}, counted from 0" if count else "this machine has none"
        why = (
            ""
            if count or torch.version.cuda or torch.version.hip
            else (f" (torch {torch.__version__} is built for the CPU only)")
        )
        raise missing(index, f"{have} that torch can use{why}")
    return torch.device("cuda", index)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has instructions for bfloat16 products (not an emulation)."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    return any(_cpu_features().get(name) for name in ("avx512_bf16", "amx_bf16"))


def adds_small_products() -> bool:
    """Whether this processor sums 8-bit products in 32 bits at once (VNNI and what came after it).

    x86 processors without that, before about 2019, sum pairs in 16 bits, which can overflow.
    """
    features = _cpu_features()
    known = ("avx512_vnni", "avx_vnni", "amx_int8")
    return features.get("architecture") != "x86_64" or any(features.get(name) for name in known)


def describe(device: torch.device) -> str:
    """The device in words, for logs: ``cuda:0 (NVIDIA H200)``, ``cpu (2 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def _cpu_features() -> dict[str, object]:
    """Names of instruction sets of this processor -> whether it has them."""
    probe = getattr(torch.cpu, "get_capabilities", None)
    if probe is not None:
        return dict(probe())
    # torch before get_capabilities: the same facts under private names.
    private = {
        "avx512_bf16": "_is_avx512_bf16_supported", "amx_bf16": "_is_amx_tile_supported",
        "avx512_vnni": "_is_vnni_supported",
    }  # fmt: skip
    features = {name: bool(getattr(torch.cpu, ask, bool)()) for name, ask in private.items()}
    return {**features, "architecture": platform.machine().replace("AMD64", "x86_64")}
