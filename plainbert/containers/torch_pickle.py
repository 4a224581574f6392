"""Read the pickle inside a torch file as data: nothing is imported, called or executed.

A pickle is a program for a small stack machine. This is that machine without the instructions that
import and call: names of functions and their arguments stay names and arguments.

Source:
    Python's pickletools (the instructions); torch/serialization.py (what torch writes).
"""

from __future__ import annotations

import pickletools
from typing import IO, Any, NamedTuple

# More instructions than any model's table of names needs: BERT-large has 20,000.
MOST = 500_000
# torch calls these, and nothing else, to make tensors again.
TENSOR = ("torch._utils", "_rebuild_tensor_v2")
OLD_TENSOR = ("torch._utils", "_rebuild_tensor")
PARAMETER = ("torch._utils", "_rebuild_parameter")
ORDERED = ("collections", "OrderedDict")
STORAGES = (
    "FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "IntStorage",
    "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage", "ComplexFloatStorage",
    "ComplexDoubleStorage",
)  # fmt: skip


class Name(NamedTuple):
    """A function or class that the pickle names."""

    module: str
    name: str


class Call(NamedTuple):
    """A function and the arguments it would have been called with."""

    function: Name
    arguments: tuple[Any, ...]


class Stored(NamedTuple):
    """Bytes that lie outside of the pickle: torch's description of a storage."""

    description: tuple[Any, ...]


class StrangeError(Exception):
    """The pickle names something that is no part of a tensor."""


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, code: str, argument: Any) -> None:
        """Do one instruction.

        Raises:
            ValueError, IndexError, KeyError, TypeError: the program is garbled.
            StrangeError: it is about more than tensors.
        """
        stack = self.stack
        if code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in LITERALS:
            if isinstance(argument, str):
                argument.encode()  # half of a surrogate pair is no text
            stack.append(argument)
        elif code in EMPTY:
            stack.append(EMPTY[code]())
        elif code == "MARK":
            self.marks.append(len(stack))
        elif code in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = stack[-1]
        elif code == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(argument)])
        elif code in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(self._last(int(code[-1])))
        elif code == "TUPLE":
            stack.append(self._marked())
        elif code in ("APPEND", "APPENDS"):
            items = self._marked() if code == "APPENDS" else self._last(1)
            _is(stack[-1], list).extend(items)
        elif code in ("SETITEM", "SETITEMS"):
            items = self._marked() if code == "SETITEMS" else self._last(2)
            self._set(items)
        elif code == "BUILD":  # attributes of a dict, such as _metadata: of no use to us
            self._last(1)
            _is(stack[-1], dict)
        elif code == "GLOBAL":
            stack.append(_known(*argument.split(" ", 1)))
        elif code == "STACK_GLOBAL":
            stack.append(_known(*self._last(2)))
        elif code == "REDUCE":
            self._reduce()
        elif code == "BINPERSID":
            stack.append(Stored(_is(stack.pop(), tuple)))
        elif code not in ("PROTO", "FRAME"):
            raise StrangeError(f"the instruction {code}")

    def _last(self, number: int) -> tuple[Any, ...]:
        if len(self.stack) < number:
            raise IndexError("the stack is empty")
        items = tuple(self.stack[-number:])
        del self.stack[-number:]
        return items

    def _marked(self) -> tuple[Any, ...]:
        start = self.marks.pop()
        if start > len(self.stack):
            raise IndexError("a mark without its items")
        items = tuple(self.stack[start:])
        del self.stack[start:]
        return items

    def _set(self, items: tuple[Any, ...]) -> None:
        target = _is(self.stack[-1], dict)
        keys = items[::2]
        # Other keys have a hash that somebody else computes.
        if len(items) % 2 or not all(isinstance(key, str | int) for key in keys):
            raise ValueError("a key that is no name")
        target.update(zip(keys, items[1::2], strict=True))

    def _reduce(self) -> None:
        function, arguments = self._last(2)
        _is(function, Name)
        _is(arguments, tuple)
        if function == ORDERED:
            if arguments:
                raise ValueError("an OrderedDict with contents")
            self.stack.append({})
        else:
            self.stack.append(Call(function, arguments))


CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
LITERALS = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINSTRING", "SHORT_BINSTRING",
}  # fmt: skip


def unpickled(file: IO[bytes]) -> Any:
    """The value of the pickle at a file's position, which is moved behind it.

    Args:
        file: anything with ``read``, ``readline`` and ``tell``.

    Returns:
        dicts, lists, tuples, numbers, strings; :class:`Call` and :class:`Stored` for what torch
        would make tensors of.

    Raises:
        ValueError: the bytes are no pickle, or an endless one.
        StrangeError: the pickle would import or call something that is no part of a tensor.
    """
    machine = _Machine()
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(file)):
            if instruction.name == "STOP":
                break
            if number > MOST:
                raise ValueError(f"more than {MOST} instructions")
            machine.step(instruction.name, argument)
        return machine.stack.pop()
    except (IndexError, KeyError, TypeError, OverflowError, EOFError) as error:
        raise ValueError(f"its pickle is garbled: {type(error).__name__}") from None


def _known(module: Any, name: Any) -> Name:
    """A name that torch gives to a part of a tensor."""
    symbol = Name(module, name)
    storage = module in ("torch", "torch.cuda") and name in STORAGES
    if not storage and symbol not in (TENSOR, OLD_TENSOR, PARAMETER, ORDERED):
        raise StrangeError(f"{module}.{name}"[:100])
    return symbol


def _is(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} expected")
    return value
