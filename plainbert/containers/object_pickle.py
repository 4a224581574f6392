"""The pickle inside ``.npz`` members of Python objects, read as data.

No object but our own records is made: the names that NumPy writes become records of what would
have been called. Every other name and instruction is refused, and sizes are checked first, so that
a hostile file can neither run, nor crash, nor fill the memory.

Source:
    NumPy, ndarray.__reduce__ (what it writes).
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.containers.pickle_machine import BYTES, COMMON, PickleMachine, StrangeError

RECONSTRUCT, NDARRAY, DTYPE, ENCODE = "_reconstruct", "ndarray", "dtype", "encode"
SYMBOLS = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,  # since NumPy 2
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): DTYPE,
    ("_codecs", "encode"): ENCODE,  # how Python 3 writes bytes for Python 2
}
KINDS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "b1")
PER_ELEMENT = 32  # instructions; NumPy's pickles have 21 for each array in an array
REMEMBERED = 1000  # remembered names, types and short strings; NumPy's pickles use 20
SHORT = 64

Numbers = NDArray[Any]


class _Name:
    """One of the functions and classes that the pickle may name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Dtype:
    """A type: of numbers, or of objects where ``dtype`` is None."""

    __slots__ = ("dtype", "name")

    def __init__(self, name: Any) -> None:
        self.name = name.decode("ascii") if isinstance(name, bytes) else name
        if self.name not in (*KINDS, "O", "O8", "O4"):
            raise ValueError(f"arrays of type {str(name)[:20]!r} are not read")
        self.dtype: np.dtype[Any] | None = None

    def set(self, state: Any) -> None:
        """Take the byte order."""
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
            raise ValueError("a type with parts")
        if not self.name.startswith("O"):
            self.dtype = np.dtype(order + self.name)


class PickledArray:
    """An array: of numbers (``values``), or of numbers or such arrays (``items``)."""

    __slots__ = ("items", "shape", "values")

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None
        self.values: Numbers | None = None
        self.items: list[Any] | None = None

    def set(self, state: Any) -> None:
        """Take shape and contents; sizes are compared before an array is made."""
        _, shape, kind, fortran, data = state
        sizes = type(shape) is tuple and len(shape) <= 2 and all(type(n) is int for n in shape)
        if not sizes or any(n < 0 for n in shape) or type(kind) is not _Dtype:
            raise ValueError("an array of strange shape or type")
        if fortran and len(shape) > 1:
            raise ValueError("an array in Fortran order")
        count = math.prod(shape)
        if type(data) is bytes and kind.dtype is not None:
            if len(data) != count * kind.dtype.itemsize:
                raise ValueError(f"{len(data)} bytes for an array of {count}")
            self.values = np.frombuffer(data, kind.dtype).reshape(shape)
        elif type(data) is list and kind.dtype is None and len(data) == count:
            self.items = data
        else:
            raise ValueError("an array whose contents do not fit")
        self.shape = shape


class _ObjectMachine(PickleMachine):
    instructions = COMMON | BYTES
    most_values = 1100  # Python's pickler appends 1000 elements at once
    most_marks = 8  # NumPy's pickles have 4

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.most = PER_ELEMENT * elements + 1000
        self.elements = elements
        self.lists = 0

    def named(self, module: str, name: str) -> _Name:
        target = SYMBOLS.get((module, name))
        if target is None:
            raise StrangeError(f"it names {module[:40]}.{name[:40]}")
        return _Name(target)

    def called(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        if type(function) is not _Name:
            raise ValueError("a call of something that is no function")
        return CALLS[function.name](*arguments)

    def build(self, target: Any, state: Any) -> None:
        if type(target) not in (PickledArray, _Dtype) or type(state) is not tuple:
            raise ValueError("a state of something that has none")
        target.set(state)

    def extend(self, target: Any, items: tuple[Any, ...]) -> None:
        if type(target) is not list or len(target) + len(items) > self.elements:
            raise ValueError("more elements than the array has")
        if not {type(item) for item in items} <= {PickledArray, int, float}:
            raise ValueError("elements that are neither numbers nor arrays")
        target.extend(items)

    def new_list(self) -> list[Any]:
        self.lists += 1
        if self.lists > 4:
            raise ValueError("lists within arrays")
        return []

    def new_tuple(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        for item in items:
            if type(item) is tuple and any(type(inner) is tuple for inner in item):
                raise ValueError("tuples within tuples")
        return items

    def string(self, text: str) -> bytes:
        """What Python 2 wrote as a string are the bytes of an array, or a name."""
        return text.encode("latin-1")

    def keeps(self, value: Any) -> bool:
        """Whether it is referred to later: not the arrays and their contents, which never are."""
        short = type(value) in (str, bytes) and len(value) <= (1 if type(value) is bytes else SHORT)
        return len(self.memo) < REMEMBERED and (short or type(value) in (_Name, _Dtype))


def _reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    if type(kind) is not _Name or kind.name != NDARRAY:
        raise ValueError("an array of a strange class")
    return PickledArray()


def _dtype(name: Any, align: Any = 0, copy: Any = 0) -> _Dtype:
    return _Dtype(name)


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in a strange form")
    return text.encode("latin-1")


def _no_call(*arguments: Any) -> None:
    raise ValueError("an array made directly")


CALLS: dict[str, Callable[..., Any]] = {
    RECONSTRUCT: _reconstruct, DTYPE: _dtype, ENCODE: _encode, NDARRAY: _no_call,
}  # fmt: skip


def unpickled(data: memoryview, shape: tuple[int, ...]) -> PickledArray:
    """The array of objects of a pickle.

    Args:
        data: the pickle.
        shape: of the array, as the header before it says.

    Raises:
        ValueError: it is no such pickle; the message says what is wrong with it.
    """
    if math.prod(shape) > len(data):
        raise ValueError(f"an array of shape {shape} in {len(data)} bytes")
    objects = _ObjectMachine(math.prod(shape)).run(io.BytesIO(data))
    if type(objects) is not PickledArray or objects.items is None or objects.shape != shape:
        raise ValueError("it is not the array that its header describes")
    return objects
