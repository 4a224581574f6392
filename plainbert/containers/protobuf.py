"""Just enough of protocol buffers: messages to fields, and fields to bytes.

Source:
    https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from plainbert.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTH = {FIXED64: 8, FIXED32: 4}
KINDS = {VARINT: "number", FIXED64: "8-byte", BYTES: "bytes", FIXED32: "4-byte"}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: which field.
        kind: one of ``VARINT``, ``FIXED64``, ``BYTES``, ``FIXED32``.
        value: an unsigned number, or the bytes.
    """

    number: int
    kind: int
    value: int | bytes

    @property
    def unsigned(self) -> int:
        """The value of a numeric field.

        Raises:
            FormatError: it holds bytes.
        """
        if isinstance(self.value, bytes):
            raise FormatError(f"field {self.number} holds bytes where a number is expected")
        return self.value

    @property
    def signed(self) -> int:
        """The value of an int32 or int64 field."""
        return self.unsigned - (self.unsigned >> 63 << 64)

    @property
    def float32(self) -> float:
        """The value of a float field.

        Raises:
            FormatError: it is of another kind.
        """
        if self.kind != FIXED32:
            raise FormatError(f"field {self.number} holds {KINDS[self.kind]}, not a float")
        value: float = struct.unpack("<f", struct.pack("<I", self.value))[0]
        return value

    @property
    def message(self) -> bytes:
        """The value of a field that holds bytes or a message.

        Raises:
            FormatError: it holds a number.
        """
        if not isinstance(self.value, bytes):
            raise FormatError(f"field {self.number} holds a number where bytes are expected")
        return self.value


def varint(data: bytes | memoryview, place: int) -> tuple[int, int]:
    """Read a number of up to 64 bits.

    Returns:
        the number and the place behind it.

    Raises:
        FormatError: it is cut off or too long.
    """
    if place < len(data) and data[place] < 128:  # nearly always
        return data[place], place + 1
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise FormatError("a number is cut off")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 64:
                break
            return value, place
    raise FormatError("a number is longer than 64 bits")


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message, in the order of the bytes.

    Raises:
        FormatError: the message is cut off, or has a field of a kind that does not exist.
    """
    place = 0
    while place < len(message):
        tag, place = varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = varint(message, place)
            yield Field(number, kind, value)
            continue
        if kind == BYTES:
            size, place = varint(message, place)
        elif kind in WIDTH:
            size = WIDTH[kind]
        else:
            raise FormatError(f"field {number} is of kind {kind}, which is not known")
        if size > len(message) - place:
            raise FormatError(f"field {number} is cut off")
        raw = message[place : place + size]
        place += size
        yield Field(number, kind, raw if kind == BYTES else int.from_bytes(raw, "little"))


def write_varint(value: int) -> bytes:
    """A number of up to 64 bits; negative ones as their complement.

    >>> write_varint(300).hex()
    'ac02'
    """
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_field(number: int, value: int | bytes, fixed32: bool = False) -> bytes:
    """One field: a number as varint or in four bytes, anything else with its length in front."""
    if isinstance(value, bytes):
        return write_varint(number << 3 | BYTES) + write_varint(len(value)) + value
    if fixed32:
        return write_varint(number << 3 | FIXED32) + value.to_bytes(4, "little")
    return write_varint(number << 3 | VARINT) + write_varint(value)
