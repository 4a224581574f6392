"""Read the pickle inside a torch file as data: nothing is imported, called or executed.

Names of functions and their arguments stay names and arguments.

Source:
    torch/serialization.py (what torch writes).
"""

from __future__ import annotations

from typing import IO, Any, NamedTuple

from plainbert.containers.pickle_machine import COMMON, DICTS, PickleMachine, StrangeError, expect

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


class _TorchMachine(PickleMachine):
    instructions = COMMON | DICTS | {"BINPERSID"}
    most = 500_000  # more than any model's table of names needs: BERT-large has 20,000

    def named(self, module: str, name: str) -> Name:
        """A name that torch gives to a part of a tensor."""
        symbol = Name(module, name)
        storage = module in ("torch", "torch.cuda") and name in STORAGES
        if not storage and symbol not in (TENSOR, OLD_TENSOR, PARAMETER, ORDERED):
            raise StrangeError(f"{module}.{name}"[:100])
        return symbol

    def called(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        expect(function, Name)
        if function != ORDERED:
            return Call(function, arguments)
        if arguments:
            raise ValueError("an OrderedDict with contents")
        return {}

    def build(self, target: Any, state: Any) -> None:
        expect(target, dict)  # attributes of a dict, such as _metadata: of no use to us

    def stored(self, description: Any) -> Stored:
        return Stored(expect(description, tuple))


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
    return _TorchMachine().run(file)
