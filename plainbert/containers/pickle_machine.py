"""The one reader of pickles: it follows them as data, and imports, calls and executes nothing.

A pickle is a program for a small stack machine. This is that machine without the instructions that
import and call: what they would import and call are records, which the reader of a format makes.

Source:
    Python's pickletools (the instructions).
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import IO, Any, ClassVar

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
NUMBERS = {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"}
TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "UNICODE"}
# Python 2's strings, which are text or bytes: pickletools reads them as Latin-1, one sign a byte.
STRINGS = {"BINSTRING", "SHORT_BINSTRING", "STRING"}
BYTES = {"BINBYTES", "SHORT_BINBYTES"}
LISTS = {"EMPTY_LIST", "APPEND", "APPENDS"}
DICTS = {"EMPTY_DICT", "SETITEM", "SETITEMS"}
TUPLES = {"EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE", "MARK"}
MEMO = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"}
NAMES = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"}
FRAMES = {"PROTO", "FRAME"}
# What every format uses.
COMMON = frozenset(CONSTANTS).union(NUMBERS, TEXTS, STRINGS, LISTS, TUPLES, MEMO, NAMES, FRAMES)


class StrangeError(ValueError):
    """The pickle is about something that its format has no use for."""


class PickleMachine:
    """What follows one pickle; a subclass says what its names and calls stand for.

    Attributes:
        instructions: names of those that the format uses; others are refused.
        most: how many instructions may be done.
        most_values: how many values may lie on the stack.
        most_marks: how many marks may be open.
    """

    instructions: ClassVar[frozenset[str]] = COMMON
    most: int = 500_000
    most_values: int = 500_000
    most_marks: int = 500_000

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.puts = 0

    def named(self, module: str, name: str) -> Any:
        """The record of a function or class.

        Raises:
            StrangeError: the format has none of that name.
        """
        raise StrangeError(f"it names {module[:40]}.{name[:40]}")

    def called(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """The record of a call."""
        raise StrangeError("a call")

    def build(self, target: Any, state: Any) -> None:
        """Give a record its state."""
        raise StrangeError("the state of an object")

    def stored(self, description: Any) -> Any:
        """The record of something outside of the pickle."""
        raise StrangeError("a reference to something else")

    def extend(self, target: Any, items: tuple[Any, ...]) -> None:
        """Append to a list."""
        expect(target, list).extend(items)

    def update(self, target: Any, pairs: dict[Any, Any]) -> None:
        """Set items of a dict."""
        expect(target, dict).update(pairs)

    def new_list(self) -> list[Any]:
        """A new list."""
        return []

    def new_tuple(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """A new tuple."""
        return items

    def string(self, text: str) -> Any:
        """A string of Python 2."""
        return text

    def keeps(self, value: Any) -> bool:
        """Whether the pickle may refer to a value again."""
        return True

    def run(self, file: IO[bytes] | bytes) -> Any:
        """The value of the pickle at a file's position, which is moved behind it.

        Args:
            file: the bytes, or anything with ``read``, ``readline`` and ``tell``.

        Raises:
            StrangeError: the pickle is about something that the format has no use for.
            ValueError: the bytes are no pickle, or a garbled or endless one.
        """
        steps = {name: STEPS[name] for name in self.instructions}
        try:
            for number, (instruction, argument, _) in enumerate(pickletools.genops(file)):
                if instruction.name == "STOP":
                    break
                if number > self.most:
                    raise ValueError(f"more than {self.most} instructions")
                if not number & 255 and len(self.stack) > self.most_values:
                    raise ValueError(f"more than {self.most_values} values at once")
                step = steps.get(instruction.name)
                if step is None:
                    raise StrangeError(f"the instruction {instruction.name}")
                step(self, argument)
            return self.stack.pop()
        except ValueError:
            raise
        except Exception as error:  # garbage breaks a step in many ways
            raise ValueError(f"its pickle is garbled ({type(error).__name__})") from None

    def last(self, number: int) -> tuple[Any, ...]:
        """Take values from the top of the stack."""
        start = len(self.stack) - number
        if start < 0:
            raise ValueError("too few values")
        items = tuple(self.stack[start:])
        del self.stack[start:]
        return items

    def marked(self) -> tuple[Any, ...]:
        """Take what lies above the last mark."""
        return self.last(len(self.stack) - self.marks.pop())


def expect(value: Any, kind: type[Any]) -> Any:
    """A value of a kind.

    Raises:
        ValueError: it is of another.
    """
    if not isinstance(value, kind):
        raise ValueError(f"a {kind.__name__} is missing")
    return value


def _constant(value: Any) -> Callable[[PickleMachine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _push(machine: PickleMachine, argument: Any) -> None:
    machine.stack.append(argument)


def _text(machine: PickleMachine, argument: Any) -> None:
    argument.encode()  # half of a surrogate pair is no text
    machine.stack.append(argument)


def _string(machine: PickleMachine, argument: Any) -> None:
    machine.stack.append(machine.string(argument))


def _mark(machine: PickleMachine, _: Any) -> None:
    if len(machine.marks) >= machine.most_marks:
        raise ValueError("values within values")
    machine.marks.append(len(machine.stack))


def _remember(machine: PickleMachine, index: Any) -> None:
    value = machine.stack[-1]
    if machine.keeps(value):
        machine.memo[machine.puts if index is None else int(index)] = value
    machine.puts += 1


def _recall(machine: PickleMachine, index: Any) -> None:
    machine.stack.append(machine.memo[int(index)])


def _tuple(number: int) -> Callable[[PickleMachine, Any], None]:
    return lambda machine, _: machine.stack.append(machine.new_tuple(machine.last(number)))


def _marked_tuple(machine: PickleMachine, _: Any) -> None:
    machine.stack.append(machine.new_tuple(machine.marked()))


def _append(machine: PickleMachine, _: Any) -> None:
    items = machine.last(1)
    machine.extend(machine.stack[-1], items)


def _appends(machine: PickleMachine, _: Any) -> None:
    items = machine.marked()
    machine.extend(machine.stack[-1], items)


def _set(machine: PickleMachine, items: tuple[Any, ...]) -> None:
    keys = items[::2]
    # Other keys have a hash that somebody else computes.
    if len(items) % 2 or not all(isinstance(key, str | int) for key in keys):
        raise ValueError("a key that is no name")
    machine.update(machine.stack[-1], dict(zip(keys, items[1::2], strict=True)))


def _global(machine: PickleMachine, argument: Any) -> None:
    module, name = argument.split(" ", 1)
    machine.stack.append(machine.named(module, name))


def _stack_global(machine: PickleMachine, _: Any) -> None:
    module, name = machine.last(2)
    machine.stack.append(machine.named(expect(module, str), expect(name, str)))


def _call(machine: PickleMachine, _: Any) -> None:
    function, arguments = machine.last(2)
    machine.stack.append(machine.called(function, expect(arguments, tuple)))


def _build(machine: PickleMachine, _: Any) -> None:
    (state,) = machine.last(1)
    machine.build(machine.stack[-1], state)


def _stored(machine: PickleMachine, _: Any) -> None:
    machine.stack.append(machine.stored(machine.stack.pop()))


def _nothing(machine: PickleMachine, _: Any) -> None:
    pass


STEPS: dict[str, Callable[[PickleMachine, Any], None]] = {
    **{name: _constant(value) for name, value in CONSTANTS.items()},
    **dict.fromkeys(NUMBERS | BYTES, _push),
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(STRINGS, _string),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _recall),
    **{f"TUPLE{number}": _tuple(number) for number in (1, 2, 3)},
    **dict.fromkeys(FRAMES, _nothing),
    "TUPLE": _marked_tuple,
    "MARK": _mark,
    "EMPTY_LIST": lambda machine, _: machine.stack.append(machine.new_list()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": lambda machine, _: _set(machine, machine.last(2)),
    "SETITEMS": lambda machine, _: _set(machine, machine.marked()),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _call,
    "NEWOBJ": _call,
    "BUILD": _build,
    "BINPERSID": _stored,
}
