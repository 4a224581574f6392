"""MXNet's file of named arrays (``.params``): read mapped into memory, written array by array.

A file is a list: magic, number of arrays, the arrays, number of names, the names. All numbers are
little endian; nothing is aligned or padded. MXNet 2 writes a zip archive under the same suffix:
see :mod:`plainbert.formats.gluonnlp.params_zip`.

Source:
    apache/mxnet 1.9.1, src/ndarray/ndarray.cc, NDArray::Save and NDArray::Load.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from plainbert import files
from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.gluonnlp import params_zip
from plainbert.formats.gluonnlp.params_sparse import dense_of

LIST = 0x112  # first eight bytes of the file
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # first four bytes of an array; V0 has none
MAX_DIMS = 32
MAX_ARRAYS = 1 << 20
TYPES = (
    torch.float32, torch.float64, torch.float16, torch.uint8, torch.int32, torch.int8, torch.int64,
    torch.bool, torch.int16, torch.uint16, torch.uint32, torch.uint64, torch.bfloat16,
)  # fmt: skip
INDEX_TYPES = (torch.int32, torch.int64)


class _Shape(NamedTuple):
    dims: tuple[int, ...]
    none: bool  # an array that was never filled: its record ends after the shape


def looks_like(path: Path) -> bool:
    """Whether the first bytes are those of a list of arrays, or of MXNet 2's archive."""
    with path.open("rb") as file:
        head = file.read(8)
    return head == struct.pack("<Q", LIST) or (head[:2] == b"PK" and path.suffix == ".params")


def read(path: str | Path) -> dict[str, Tensor]:
    """Open a file of arrays.

    Dense arrays at addresses that fit their type are views of the mapped file: opening does not
    read them. Others are copied, sparse ones made dense. Writing into a view changes memory only.

    Args:
        path: a file that ``mx.nd.save``, ``save_parameters``, ``export`` or MXNet 2 wrote.

    Returns:
        arrays by name, in the file's order; "0", "1", ... where it has no names. An array that was
        never filled has shape (0,).

    Raises:
        FormatError: the bytes are no such list; the message names the array.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{path} {what}; the path of a .params file is expected.")
    size = path.stat().st_size
    if size < 24:
        raise FormatError(f"{path} has {size} bytes; a .params file has at least 24.")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
    if data[:2] == b"PK":
        return params_zip.read(path, data)
    return _ParamsReader(path, data).everything()


class _ParamsReader:
    """A position in a mapped file, and how much memory sparse arrays may still fill."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.at = 0
        self.what = "the head"
        self.budget = params_zip.budget(len(data))

    def everything(self) -> dict[str, Tensor]:
        """All arrays by name."""
        magic, _, arrays = self.numbers("QQQ")
        if magic != LIST:
            raise self.error(f"starts with {magic:#x}; MXNet's files start with {LIST:#x}")
        if arrays > min(MAX_ARRAYS, len(self.data) // 4):
            raise self.error(f"is said to hold {arrays} arrays")
        tensors = []
        for row in range(arrays):
            self.what = f"array {row + 1} of {arrays}"
            tensors.append(self.array())
        self.what = "the names"
        (count,) = self.numbers("Q")
        if count not in (0, arrays):
            raise self.error(f"has {count} names for {arrays} arrays")
        names = [self.name() for _ in range(count)] or [str(row) for row in range(arrays)]
        if self.at != len(self.data):
            raise self.error(f"goes on for {len(self.data) - self.at} bytes after the last name")
        named = dict(zip(names, tensors, strict=True))
        if len(named) != arrays:
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise self.error(f"holds {twice!r} more than once")
        return named

    def error(self, reason: str) -> FormatError:
        """An error that names the file and the part that is being read."""
        return FormatError(
            f"{self.path} {reason} ({self.what}, byte {self.at} of {len(self.data)}). It is "
            "truncated, damaged or no .params file: copy or download it again."
        )

    def bytes(self, number: int) -> memoryview:
        """The next bytes, which must be there."""
        if number > len(self.data) - self.at:
            raise self.error(f"ends where {number} more bytes are expected")
        self.at += number
        return memoryview(self.data)[self.at - number : self.at]

    def numbers(self, layout: str) -> tuple[int, ...]:
        """The next numbers, by :mod:`struct`'s letters."""
        return struct.unpack(f"<{layout}", self.bytes(struct.calcsize(f"<{layout}")))

    def name(self) -> str:
        """The next name."""
        (length,) = self.numbers("Q")
        raw = bytes(self.bytes(length))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.error(f"has a name that is not UTF-8, {raw[:40]!r}") from None

    def array(self) -> Tensor:
        """The next array, of any version."""
        (magic,) = self.numbers("I")
        storage, stored = 0, _Shape((), False)
        if magic in (V2, V3):
            (storage,) = self.numbers("i")
            if storage not in (0, 1, 2):
                raise self.error(f"has an array of the unknown storage type {storage}")
            if storage:
                stored = self.shape(magic)
            shape = self.shape(magic)
        elif magic == V1:
            shape = self.shape(magic)
        else:
            shape = self.dims(magic, "I", none=magic == 0)  # V0: this is the number of axes
        if shape.none:
            return torch.empty(0)
        flag = self.numbers("3i")[2]  # after the device's type and number
        if storage == 0:
            return self.values(shape.dims, self.type(flag))
        kinds = [(self.numbers("i")[0], self.shape(V2)) for _ in range(storage)]
        values = self.values(stored.dims, self.type(flag))
        indices = []
        for kind, index_shape in kinds:
            if self.type(kind) not in INDEX_TYPES or len(index_shape.dims) != 1:
                raise self.error(f"has sparse indices of type {kind} and {index_shape.dims}")
            indices.append(self.values(index_shape.dims, self.type(kind)))
        return self.dense(shape.dims, values, indices)

    def shape(self, version: int) -> _Shape:
        """The next shape, with its number of axes before it."""
        (axes,) = self.numbers("i")
        if version == V3 and axes == -1:
            return _Shape((), none=True)
        shape = self.dims(axes, "q", none=version != V3 and axes == 0)
        if version == V3 and -1 in shape.dims:
            return _Shape((), none=True)
        if any(dim < 0 for dim in shape.dims):
            raise self.error(f"has an array of shape {shape.dims}")
        return shape

    def dims(self, axes: int, letter: str, none: bool) -> _Shape:
        """The next sizes."""
        if not 0 <= axes <= MAX_DIMS:
            raise self.error(f"has an array with {axes:#x} for its version or number of axes")
        return _Shape(self.numbers(f"{axes}{letter}") if axes else (), none)

    def type(self, flag: int) -> torch.dtype:
        """The type that a number stands for."""
        if not 0 <= flag < len(TYPES):
            raise self.error(f"has an array of the unknown type {flag}")
        return TYPES[flag]

    def values(self, dims: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """The next values: a view where the address allows it, else a copy."""
        count = math.prod(dims)
        if any(dim > len(self.data) for dim in dims):
            raise self.error(f"has an array of shape {dims}, more than the file can hold")
        start = self.at
        raw = self.bytes(count * dtype.itemsize)
        if count == 0:
            return torch.empty(dims, dtype=dtype)
        if start % dtype.itemsize == 0:
            return torch.frombuffer(self.data, dtype=dtype, count=count, offset=start).view(dims)
        return torch.frombuffer(bytearray(raw), dtype=dtype).view(dims)

    def dense(self, dims: tuple[int, ...], values: Tensor, indices: list[Tensor]) -> Tensor:
        """A sparse array with its zeros."""
        self.budget -= math.prod(dims) * values.dtype.itemsize
        if self.budget < 0 or any(dim >= 1 << 40 for dim in dims):
            raise self.error(f"has a sparse array of shape {dims}, too large to make dense")
        try:
            return dense_of(dims, values, indices)
        except ValueError as error:
            raise self.error(f"has a sparse array that cannot be: {error}") from None


def write(path: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named arrays as MXNet 1.x does (V2), one after the other.

    No more than one array is copied in memory, and only if it is not contiguous or not on the CPU.

    Args:
        path: appears once it is complete.
        tensors: in the order in which they are to lie in the file. At least one axis each.

    Raises:
        CheckpointError: an array has no axis or a type that MXNet does not have.
    """
    for name, tensor in tensors.items():
        if tensor.dim() == 0 or tensor.dtype not in TYPES:
            raise CheckpointError(
                f"{name} has shape {tuple(tensor.shape)} and type {tensor.dtype}; MXNet's files "
                "hold numbers of common types, with at least one axis."
            )
    with files.atomic_file(path) as file:
        file.write(struct.pack("<QQQ", LIST, 0, len(tensors)))
        for tensor in tensors.values():
            axes = tensor.dim()
            head = (V2, 0, axes, *tensor.shape, 1, 0, TYPES.index(tensor.dtype))
            file.write(struct.pack(f"<Iii{axes}q3i", *head))
            if tensor.numel():
                plain = tensor.detach().to("cpu").contiguous()
                file.write(plain.view(-1).view(torch.uint8).numpy().data)
        file.write(struct.pack("<Q", len(tensors)))
        for name in tensors:
            raw = name.encode("utf-8")
            file.write(struct.pack("<Q", len(raw)) + raw)
