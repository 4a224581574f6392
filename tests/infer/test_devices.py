"""Which device and number format a script gets, and what it says when there is none."""

from __future__ import annotations

import pytest
import torch

from plainbert.errors import DeviceError, UnknownNameError
from plainbert.infer import devices
from plainbert.infer.precision import choose_precision

CPU = torch.device("cpu")
PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_vnni_supported")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine whose number of GPUs the test chooses with :func:`gpus`."""
    gpus(monkeypatch, 0)
    return monkeypatch


def gpus(patch: pytest.MonkeyPatch, count: int) -> None:
    # The only questions that pick_device asks the machine.
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.cuda, "device_count", lambda: count)


def test_without_a_gpu(machine: pytest.MonkeyPatch) -> None:
    assert devices.pick_device() == CPU
    assert devices.pick_device(gpus=()) == CPU
    for asked in ({"gpu": 0}, {"gpus": (0,)}):
        with pytest.raises(DeviceError, match="GPU 0 was asked for, but this machine has none"):
            devices.pick_device(**asked)  # type: ignore[arg-type]


def test_with_two_gpus(machine: pytest.MonkeyPatch) -> None:
    gpus(machine, 2)

    assert devices.pick_device() == torch.device("cuda", 0)
    assert devices.pick_device(gpu=1) == torch.device("cuda", 1)
    assert devices.pick_device(gpus=(1,)) == torch.device("cuda", 1)
    assert devices.pick_device(gpus=()) == CPU
    with pytest.raises(DeviceError, match="GPU 2 was asked for, but this machine has 2"):
        devices.pick_device(gpu=2)
    with pytest.raises(DeviceError, match="--gpus 0,1 asks for 2 GPUs"):
        devices.pick_device(gpus=(0, 1))


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False, "avx512_fp16": True}, torch.float32),
        ({"avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_asks_the_processor(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)

    assert choose_precision("auto", CPU).dtype is dtype
    assert choose_precision("float32", CPU).dtype is torch.float32
    assert choose_precision("float16", CPU).dtype is torch.float16


@pytest.mark.parametrize("answer", [True, False])
def test_the_probe_of_older_torch(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    """Where torch has no ``get_capabilities``, its private questions decide."""
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    for name in PROBES:
        monkeypatch.setattr(torch.cpu, name, lambda: answer, raising=False)

    assert devices.multiplies_bfloat16(CPU) is answer
    assert devices.adds_small_products() is answer


def test_without_any_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("get_capabilities", *PROBES):
        monkeypatch.delattr(torch.cpu, name, raising=False)

    assert devices.multiplies_bfloat16(CPU) is False


def test_auto_agrees_with_the_system() -> None:
    """Linux says in /proc/cpuinfo what the processor has: an oracle that torch does not share."""
    with open("/proc/cpuinfo") as file:
        words = set(file.read().split())

    assert devices.multiplies_bfloat16(CPU) is bool(words & {"avx512_bf16", "amx_bf16"})


@pytest.mark.parametrize(
    ("features", "whole"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_vnni": False}, False),
        ({"architecture": "x86_64", "avx512_vnni": True}, True),
        ({"architecture": "x86_64", "avx_vnni": True}, True),
        ({"architecture": "aarch64"}, True),
    ],
)
def test_sums_of_small_products(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, object], whole: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)

    assert devices.adds_small_products() is whole


def test_small_products_as_the_system_says() -> None:
    with open("/proc/cpuinfo") as file:
        words = set(file.read().split())

    if "avx2" in words:
        assert devices.adds_small_products() is bool(words & {"avx512_vnni", "avx_vnni"})


def test_unknown_dtype() -> None:
    with pytest.raises(UnknownNameError, match="no dtype is named 'float8'"):
        choose_precision("float8", CPU)


def test_describe() -> None:
    assert devices.describe(CPU) == f"cpu ({torch.get_num_threads()} threads)"


@pytest.mark.gpu
def test_a_real_gpu() -> None:
    device = devices.pick_device()

    assert device == torch.device("cuda", 0)
    native = torch.cuda.get_device_capability(device) >= (8, 0)
    assert devices.multiplies_bfloat16(device) is native
    assert devices.describe(device).startswith("cuda:0 (")
    with pytest.raises(DeviceError):
        devices.pick_device(gpu=torch.cuda.device_count())
