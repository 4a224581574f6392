"""``.params`` files byte by byte, written apart from the code under test."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

LIST = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
FLAGS = {
    "float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6,
    "bool": 7, "int16": 8, "uint16": 9, "uint32": 10, "uint64": 11,
}  # fmt: skip


def shape_of(dims: Sequence[int]) -> bytes:
    return struct.pack(f"<i{len(dims)}q", len(dims), *dims)


def tail(array: np.ndarray, flag: int | None = None) -> bytes:
    kind = FLAGS[str(array.dtype)] if flag is None else flag
    return struct.pack("<3i", 1, 0, kind) + array.tobytes()


def v0(array: np.ndarray) -> bytes:
    return struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape) + tail(array)


def v1(array: np.ndarray) -> bytes:
    return struct.pack("<I", V1) + shape_of(array.shape) + tail(array)


def v2(array: np.ndarray, flag: int | None = None) -> bytes:
    return struct.pack("<Ii", V2, 0) + shape_of(array.shape) + tail(array, flag)


def v3(array: np.ndarray) -> bytes:
    return struct.pack("<Ii", V3, 0) + shape_of(array.shape) + tail(array)


def sparse(kind: int, dims: Sequence[int], values: np.ndarray, *index: np.ndarray) -> bytes:
    """A row_sparse (1) or csr (2) array."""
    head = struct.pack("<Ii", V2, kind) + shape_of(values.shape) + shape_of(dims)
    aux = b"".join(struct.pack("<i", FLAGS[str(i.dtype)]) + shape_of(i.shape) for i in index)
    body = values.tobytes() + b"".join(i.tobytes() for i in index)
    return head + struct.pack("<3i", 1, 0, FLAGS[str(values.dtype)]) + aux + body


def listed(records: Sequence[bytes], names: Sequence[str | bytes] | None = None) -> bytes:
    """A whole file; no names are written when they are None."""
    given = [n.encode() if isinstance(n, str) else n for n in names or ()]
    ends = b"".join(struct.pack("<Q", len(name)) + name for name in given)
    head = struct.pack("<QQQ", LIST, 0, len(records))
    return head + b"".join(records) + struct.pack("<Q", len(given)) + ends
