"""Unpack Snappy's raw format.

Source:
    https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from plainbert.containers.protobuf import varint
from plainbert.errors import FormatError

# Three bytes can copy at most 64, so nothing unpacks to more than this many times its size.
RATIO = 22


def unpack(data: bytes | memoryview) -> bytes:
    """The unpacked bytes.

    Raises:
        FormatError: the data are garbled, or state a size that they cannot have.
    """
    size, place = varint(data, 0)
    if size > RATIO * len(data):
        raise FormatError(f"{len(data)} packed bytes cannot hold {size}")
    out = bytearray()
    while place < len(data):
        tag = data[place]
        place += 1
        if tag & 3 == 0:
            length, place = _literal(data, tag, place)
            out += data[place : place + length]
            place += length
        else:
            extra = (0, 1, 2, 4)[tag & 3]
            back = int.from_bytes(data[place : place + extra], "little")
            length = (tag >> 2) + 1
            if tag & 3 == 1:
                back |= tag >> 5 << 8
                length = (tag >> 2 & 7) + 4
            place += extra
            if place > len(data) or not 0 < back <= len(out):
                raise FormatError("a packed copy points outside the data")
            # A copy may overlap what it writes: then the last bytes repeat.
            chunk = bytes(out[-back:][:length])
            out += (chunk * (length // len(chunk) + 1))[:length]
        if len(out) > size:
            break
    if len(out) != size:
        raise FormatError(f"packed bytes hold {len(out)} instead of {size}")
    return bytes(out)


def _literal(data: bytes | memoryview, tag: int, place: int) -> tuple[int, int]:
    """Length of a literal run and where it starts."""
    length = (tag >> 2) + 1
    if length > 60:
        extra = length - 60
        length = int.from_bytes(data[place : place + extra], "little") + 1
        place += extra
    if length > len(data) - place:
        raise FormatError("a packed run is cut off")
    return length, place
