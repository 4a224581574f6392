"""The pickle inside ``.npz`` members of Python objects, read as data.

Nothing is imported, and no object but our own records is made: the names that NumPy writes become
records of what would have been called. Every other name and instruction is refused, and sizes are
checked first, so that a hostile file can neither run, nor crash, nor fill the memory.

Source:
    Python's pickletools (the instructions); NumPy, ndarray.__reduce__ (what it writes).
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECONSTRUCT, NDARRAY, DTYPE, ENCODE = "_reconstruct", "ndarray", "dtype", "encode"
NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,  # since NumPy 2
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): DTYPE,
    ("_codecs", "encode"): ENCODE,  # how Python 3 writes bytes for Python 2
}
NUMBERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "b1")
PER_ELEMENT = 32  # instructions; NumPy's pickles have 21 for each array in an array
STACK = 1100  # Python's pickler appends 1000 elements at once
DEPTH = 8  # marks that are open; NumPy's pickles have 4
MEMO = 1000  # remembered names, types and short strings; NumPy's pickles use 20
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
        if self.name not in (*NUMBERS, "O", "O8", "O4"):
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


class _Instructions(dict[int, Any]):
    """What to do for every instruction; each look-up is counted."""

    def __init__(self, known: dict[int, Any], reader: _ObjectReader, most: int) -> None:
        super().__init__(known)
        self.reader = reader
        self.left = most

    def __getitem__(self, code: int, get: Callable[..., Any] = dict.__getitem__) -> Any:
        self.left -= 1
        if not self.left & 255 and (self.left <= 0 or len(self.reader.stack) > STACK):
            raise ValueError("more instructions or values than an array has")
        return get(self, code)


_Base: Any = pickle._Unpickler  # type: ignore[attr-defined, unused-ignore]


class _ObjectReader(_Base):  # type: ignore[misc, unused-ignore]
    """Python's own unpickler with the instructions that NumPy's pickles use, and no others."""

    def __init__(self, data: memoryview, elements: int) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="bytes")
        self.stack: list[Any] = []
        self.most = elements
        self.lists = self.puts = 0
        self.dispatch = _Instructions(INSTRUCTIONS, self, PER_ELEMENT * elements + 1000)

    def find_class(self, module: Any, name: Any) -> _Name:
        """A record of a name.

        Raises:
            ValueError: NumPy's arrays do not need it.
        """
        target = NAMES.get((str(module), str(name)))
        if target is None:
            raise ValueError(f"it names {str(module)[:40]}.{str(name)[:40]}")
        return _Name(target)

    def do_mark(self) -> None:
        if len(self.metastack) >= DEPTH:
            raise ValueError("values within values")
        self.load_mark()

    def do_list(self) -> None:
        self.lists += 1
        if self.lists > 4:
            raise ValueError("lists within arrays")
        self.stack.append([])

    def do_append(self) -> None:
        self._extend([self.stack.pop()])

    def do_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list or len(target) + len(items) > self.most:
            raise ValueError("more elements than the array has")
        if not {type(item) for item in items} <= {PickledArray, int, float}:
            raise ValueError("elements that are neither numbers nor arrays")
        target.extend(items)

    def do_tuple(self) -> None:
        self._tuple(self.pop_mark())

    def do_tuple1(self) -> None:
        self._last(1)

    def do_tuple2(self) -> None:
        self._last(2)

    def do_tuple3(self) -> None:
        self._last(3)

    def _last(self, number: int) -> None:
        items = self.stack[-number:]
        if len(items) < number:
            raise ValueError("too few values")
        del self.stack[-number:]
        self._tuple(items)

    def _tuple(self, items: list[Any]) -> None:
        for item in items:
            if type(item) is tuple and any(type(inner) is tuple for inner in item):
                raise ValueError("tuples within tuples")
        self.stack.append(tuple(items))

    def do_put(self) -> None:
        self._remember(self.read(1)[0])

    def do_long_put(self) -> None:
        self._remember(int.from_bytes(self.read(4), "little"))

    def do_memoize(self) -> None:
        self._remember(self.puts)

    def _remember(self, place: int) -> None:
        """Keep what is referred to later; not the arrays and their contents, which never are."""
        self.puts += 1
        value = self.stack[-1]
        short = type(value) in (str, bytes) and len(value) <= (1 if type(value) is bytes else SHORT)
        if len(self.memo) < MEMO and (short or type(value) in (_Name, _Dtype)):
            self.memo[place] = value

    def do_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if type(function) is not _Name or type(arguments) is not tuple:
            raise ValueError("a call of something that is no function")
        self.stack[-1] = CALLS[function.name](*arguments)

    def do_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) not in (PickledArray, _Dtype) or type(state) is not tuple:
            raise ValueError("a state of something that has none")
        target.set(state)


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
_PLAIN = (  # these only put a number, a string, a remembered value or a name on the stack
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
    pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE,
    pickle.SHORT_BINUNICODE, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES,
    pickle.SHORT_BINBYTES, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL,
    pickle.EMPTY_TUPLE,
)  # fmt: skip
_OWN = {
    pickle.MARK: _ObjectReader.do_mark, pickle.EMPTY_LIST: _ObjectReader.do_list,
    pickle.APPEND: _ObjectReader.do_append, pickle.APPENDS: _ObjectReader.do_appends,
    pickle.TUPLE: _ObjectReader.do_tuple, pickle.TUPLE1: _ObjectReader.do_tuple1,
    pickle.TUPLE2: _ObjectReader.do_tuple2, pickle.TUPLE3: _ObjectReader.do_tuple3,
    pickle.BINPUT: _ObjectReader.do_put, pickle.LONG_BINPUT: _ObjectReader.do_long_put,
    pickle.MEMOIZE: _ObjectReader.do_memoize, pickle.REDUCE: _ObjectReader.do_reduce,
    pickle.BUILD: _ObjectReader.do_build,
}  # fmt: skip
INSTRUCTIONS: dict[int, Any] = {
    **{code[0]: _Base.dispatch[code[0]] for code in _PLAIN},
    **{code[0]: handler for code, handler in _OWN.items()},
}


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
    try:
        objects = _ObjectReader(data, math.prod(shape)).load()
    except ValueError:
        raise
    except Exception as error:  # the unpickler meets garbage in many ways
        raise ValueError(f"its pickle is garbled ({type(error).__name__})") from None
    if type(objects) is not PickledArray or objects.items is None or objects.shape != shape:
        raise ValueError("it is not the array that its header describes")
    return objects
