"""Partitioned variables: tensors that TensorFlow stores in parts along one dimension.

Source:
    tensorflow/core/framework/tensor_slice.proto; tensorflow/core/util/saved_tensor_slice_util.cc;
    tensorflow/core/lib/strings/ordered_code.cc for the keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.containers.protobuf import fields
from plainbert.errors import FormatError

FULL = -1  # the length of an extent that is the whole dimension


@dataclass(frozen=True)
class Slice:
    """A part of a tensor.

    Attributes:
        extents: (start, length) in each dimension; (0, ``FULL``) for all of it.
    """

    extents: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, message: bytes) -> Slice:
        """Read a TensorSliceProto.

        Raises:
            FormatError: garbled.
        """
        extents = []
        for dimension in fields(message):
            if dimension.number == 1:
                numbers = {part.number: part.signed for part in fields(dimension.message)}
                start, length = numbers.get(1, 0), numbers.get(2, FULL)
                if start < 0 or length < FULL or (length == FULL and start):
                    raise FormatError(f"a part of length {length} at {start} is impossible")
                extents.append((start, length))
        return cls(tuple(extents))

    def shape(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of this part of a tensor of the given shape."""
        pairs = zip(self.extents, whole, strict=True)
        return tuple(size if length == FULL else length for (_, length), size in pairs)


def axis_of(name: str, shape: tuple[int, ...], parts: tuple[Slice, ...]) -> tuple[int, list[Slice]]:
    """The dimension that the parts divide, and the parts in its order.

    Raises:
        FormatError: several dimensions are divided, or the parts leave holes or overlap.
    """
    problem = FormatError(
        f"{name} is stored in {len(parts)} parts that do not make up its shape {list(shape)} "
        "along one dimension; such a variable cannot be read."
    )
    if any(len(part.extents) != len(shape) for part in parts):
        raise problem
    cut = {
        axis
        for part in parts
        for axis, (start, length) in enumerate(part.extents)
        if length not in (FULL, shape[axis]) or start
    }
    if len(cut) > 1 or not shape:
        raise problem
    axis = cut.pop() if cut else 0
    ordered = sorted(parts, key=lambda part: part.extents[axis][0])
    place = 0
    for part in ordered:
        if part.extents[axis][0] != place:
            raise problem
        place += part.shape(shape)[axis]
    if place != shape[axis]:
        raise problem
    return axis, ordered


def slice_key(name: str, part: Slice) -> bytes:
    """The key of a part in the table: ordered codes of 0, name, dimensions and extents."""
    text = name.encode().replace(b"\0", b"\0\xff")
    extents = b"".join(_signed(number) for extent in part.extents for number in extent)
    return b"\0" + text + b"\0\1" + _unsigned(len(part.extents)) + extents


def _unsigned(value: int) -> bytes:
    """A number behind its length, so that longer ones sort behind shorter ones."""
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(raw)]) + raw


def _signed(value: int) -> bytes:
    """A number in as few 7-bit groups as it needs; the first bits tell how many bytes follow."""
    bits = (value if value >= 0 else ~value).bit_length()
    length = bits // 7 + 1
    header = ((1 << length) - 1) << (7 * length)
    return ((value & ((1 << 8 * length) - 1)) ^ header).to_bytes(length, "big")
