"""MXNet 2's file of arrays: a zip archive of ``.npy`` members, read without running anything.

Source:
    NumPy, numpy.lib.format (the .npy format, versions 1 to 3); PKWARE, APPNOTE.TXT (zip).
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from plainbert.errors import FormatError

_DTYPES = {
    np.dtype(name): getattr(torch, name if name != "bool" else "bool")
    for name in (
        "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
        "uint32", "uint64", "bool",
    )
}  # fmt: skip


def budget(size: int) -> int:
    """Bytes that a file of ``size`` bytes may grow to by unpacking: weights hardly shrink."""
    return (256 << 20) + 64 * size


def read(path: Path, data: mmap.mmap) -> dict[str, Tensor]:
    """Open an archive of arrays.

    Args:
        path: the file.
        data: the file mapped into memory; members that are not compressed become views
            of it where their
            address allows.

    Returns:
        arrays by member name without ``.npy``.

    Raises:
        FormatError: it is no such archive, is damaged, holds objects, or would unpack to far more
            than its size.
    """
    arrays: dict[str, Tensor] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            left = budget(len(data))
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in arrays or name == info.filename:
                    kind = "twice" if name in arrays else "which is no .npy array"
                    raise FormatError(f"{path} holds {info.filename!r}, {kind}.")
                left -= info.file_size if info.compress_type != zipfile.ZIP_STORED else 0
                if left < 0:
                    raise FormatError(
                        f"{path} would unpack to {info.file_size} bytes and more at "
                        f"{info.filename!r}; arrays of weights do not. It was not opened."
                    )
                arrays[name] = _member(archive, info, data)
    except FormatError:
        raise
    except Exception as error:  # zipfile and numpy raise many kinds on garbled files
        first = (str(error).splitlines() or [""])[0][:200]
        raise FormatError(
            f"{path} cannot be read ({type(error).__name__}: {first}); it is truncated or no "
            "archive of MXNet 2. Copy or download it again."
        ) from None
    return arrays


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: mmap.mmap) -> Tensor:
    """One array."""
    with archive.open(info) as file:
        shape, fortran, kind = _head(file)
        length = math.prod(shape) * kind.itemsize
        size = file.tell() + length
        if kind not in _DTYPES or any(dim < 0 for dim in shape) or info.file_size != size:
            raise ValueError(f"{info.filename} is a {kind} array of shape {shape}")
        dtype = _DTYPES[kind]
        if length == 0:
            return torch.empty(shape, dtype=dtype)
        if info.compress_type == zipfile.ZIP_STORED:
            start = _start(info, data) + size - length
            if start + length > len(data):
                raise ValueError(f"{info.filename} ends after the file")
            if start % kind.itemsize == 0:
                flat = torch.frombuffer(
                    data, dtype=dtype, count=length // kind.itemsize, offset=start
                )
            else:
                flat = torch.frombuffer(bytearray(data[start : start + length]), dtype=dtype)
        else:
            raw = bytearray(file.read())
            if len(raw) != length:
                raise ValueError(f"{info.filename} unpacks to {len(raw)} bytes")
            flat = torch.frombuffer(raw, dtype=dtype)
    return flat.view(shape[::-1]).permute(*range(len(shape))[::-1]) if fortran else flat.view(shape)


def _head(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:  # type: ignore[type-arg]
    """Shape, order and type of an array; objects, which only pickle can read, are refused."""
    version = npy.read_magic(file)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of .npy is not known")
    shape, fortran, kind = reader(file)
    if kind.hasobject:
        raise ValueError("arrays of Python objects are not read")
    return shape, fortran, kind


def _start(info: zipfile.ZipInfo, data: mmap.mmap) -> int:
    """Where a member's bytes begin: after its own head, whose length only it states."""
    head = data[info.header_offset : info.header_offset + 30]
    name, extra = struct.unpack("<HH", head[26:30])
    return info.header_offset + 30 + int(name) + int(extra)
