"""Where the arrays of an ``.npz`` archive lie: central directory, local headers, ``.npy`` headers.

Source:
    PKWARE, APPNOTE.TXT (zip); NumPy, numpy.lib.format (.npy, version 1.0).
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

STORED, DEFLATED = 0, 8
MOST = 256  # members of an archive; ours have 9
LOCAL, CENTRAL = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L")
END, LOCATOR64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
ENCRYPTED = 0x2041  # flags: encrypted, strongly encrypted, masked headers
WIDE = 0xFFFFFFFF  # "the number stands in the zip64 field"
PLAIN = "biufSU"  # kinds of types that are bytes and nothing else
HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[A-Za-z][0-9]{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \((|[0-9]{1,19}L?,|[0-9]{1,19}L?(?:, [0-9]{1,19}L?){1,31})\), \} *\n"
)

Fail = Callable[[str], Exception]


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member of an archive lies, and what its ``.npy`` header says.

    ``start`` and ``packed`` are the place of its bytes within the file; ``size`` is their number
    once unpacked, the first ``head`` of which are the header's.
    """

    name: str
    method: int
    checksum: int
    start: int
    packed: int
    size: int
    head: int = 0
    dtype: np.dtype[Any] = np.dtype("u1")
    shape: tuple[int, ...] = ()


def members(file: IO[bytes], size: int, fail: Fail, objects: bool) -> list[Member]:
    """Every array of an archive.

    Args:
        file: the archive.
        size: its length in bytes.
        fail: makes the error of a reason.
        objects: let arrays of Python objects pass.

    Raises:
        Exception: what ``fail`` makes: the bytes are no such archive.
    """
    directory, begin = _directory(file, size, fail)
    arrays: dict[str, Member] = {}
    byte_ranges: list[tuple[int, int]] = []
    for offset, flags, raw, member in _entries(directory, fail):
        name = member.name
        if not name.endswith(".npy") or name in arrays:
            kind = "twice" if name in arrays else "which is no .npy array"
            raise fail(f"holds {name[:80]!r}, {kind}")
        if flags & ENCRYPTED:
            raise fail(f"is encrypted ({name!r})")
        plain = member.method == STORED and member.packed == member.size
        if not plain and member.method != DEFLATED:
            raise fail(f"holds {name!r} packed in the unknown way {member.method}")
        start = _behind_local(file, offset, begin, raw, member.method)
        if start is None or start + member.packed > begin:
            raise fail(f"has {name!r} garbled or outside of the file")
        byte_ranges.append((offset, start + member.packed))
        arrays[name] = _described(file, member, start, fail, objects)
    byte_ranges.sort()
    if any(end > start for (_, end), (start, _) in zip(byte_ranges, byte_ranges[1:], strict=False)):
        raise fail("has members that overlap")
    return list(arrays.values())


def _directory(file: IO[bytes], size: int, fail: Fail) -> tuple[bytes, int]:
    """The central directory and where it begins."""
    tail = _at(file, max(0, size - END.size - 0xFFFF), END.size + 0xFFFF)
    ending = tail.rfind(b"PK\5\6")
    if ending < 0 or len(tail) - ending < END.size:
        raise fail("has no zip directory at its end")
    _, disk, first, _, count, length, begin, _ = END.unpack_from(tail, ending)
    end = size - len(tail) + ending
    locator = _at(file, max(0, end - LOCATOR64.size), LOCATOR64.size)
    if locator[:4] == b"PK\6\7" or WIDE in (length, begin):
        place = LOCATOR64.unpack(locator)[2] if locator[:4] == b"PK\6\7" else size
        record = _at(file, place, END64.size) if place < end else b""
        if len(record) < END64.size or record[:4] != b"PK\6\6":
            raise fail("has no zip64 directory at its end")
        *_, disk, first, _, count, length, begin = END64.unpack(record)
        end = place
    if disk or first or begin + length != end or count > MOST or length > MOST * 1024:
        raise fail(f"has a directory of {count} members and {length} bytes that cannot be")
    directory = _at(file, begin, length)
    if len(directory) != length:
        raise fail("ends within its directory")
    return directory, begin


def _entries(directory: bytes, fail: Fail) -> Iterator[tuple[int, int, bytes, Member]]:
    """Yield (offset of the local header, flags, raw name, what is known of the member)."""
    at = number = 0
    while at < len(directory):
        number += 1
        if len(directory) - at < CENTRAL.size or number > MOST:
            raise fail("has a directory that is cut short or has too many members")
        fields = CENTRAL.unpack_from(directory, at)
        magic, flags, method = fields[0], fields[3], fields[4]
        checksum, packed, size, named, extra, comment, disk = fields[7:14]
        at += CENTRAL.size
        raw = directory[at : at + named]
        wide = _wide(directory[at + named : at + named + extra], [size, packed, fields[16]])
        at += named + extra + comment
        if magic != b"PK\1\2" or at > len(directory) or disk or wide is None:
            raise fail("has a garbled directory")
        size, packed, offset = wide
        name = raw.decode("utf-8", "replace")
        yield offset, flags, raw, Member(name, method, checksum, 0, packed, size)


def _wide(extra: bytes, numbers: list[int]) -> list[int] | None:
    """Numbers that do not fit into 32 bits, from the zip64 field."""
    missing = [place for place, number in enumerate(numbers) if number == WIDE]
    if not missing:
        return numbers
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1 and length >= 8 * len(missing) and at + 4 + length <= len(extra):
            wide = struct.unpack_from(f"<{len(missing)}Q", extra, at + 4)
            for place, number in zip(missing, wide, strict=True):
                numbers[place] = number
            return numbers
        at += 4 + length
    return None


def _behind_local(file: IO[bytes], offset: int, limit: int, name: bytes, method: int) -> int | None:
    """Where a member's bytes begin: behind its own header, whose length only it states."""
    if offset + LOCAL.size > limit:
        return None
    local = _at(file, offset, LOCAL.size + len(name))
    if len(local) != LOCAL.size + len(name):
        return None
    magic, _, flags, packing, *_, named, extra = LOCAL.unpack_from(local)
    same = magic == b"PK\3\4" and packing == method and named == len(name)
    if not same or flags & ENCRYPTED or local[LOCAL.size :] != name:
        return None
    return offset + LOCAL.size + int(named) + int(extra)


def _described(file: IO[bytes], member: Member, start: int, fail: Fail, objects: bool) -> Member:
    """A member with what its ``.npy`` header says, which must fit its length."""
    raw = _at(file, start, min(member.packed, 4096))
    if member.method == DEFLATED:
        try:
            raw = zlib.decompressobj(-15).decompress(raw, 4096)
        except zlib.error as error:
            raise fail(f"cannot be unpacked at {member.name!r} ({error})") from None
    name = member.name.removesuffix(".npy")
    if raw[:8] != b"\x93NUMPY\1\0" or len(raw) < 10:
        raise fail(f"holds {name!r}, which is no array of .npy version 1.0")
    head = 10 + int.from_bytes(raw[8:10], "little")
    match = HEADER.fullmatch(raw[10:head])
    if match is None or head > len(raw):
        raise fail(f"has a garbled .npy header in {name!r}")
    dtype = _dtype(match[1].decode())
    if dtype is None or (dtype.hasobject and not objects):
        kind = "Python objects" if dtype is not None else f"type {match[1].decode()}"
        raise fail(f"holds {name!r}, an array of {kind}, which is not read")
    shape = tuple(int(axis.strip(b" L")) for axis in match[3].split(b",") if axis.strip())
    if match[2] == b"True" and len(shape) > 1:
        raise fail(f"holds {name!r} in Fortran order, column by column, which is not read")
    length = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (length != member.size - head or max(shape, default=0) >= 1 << 62):
        raise fail(f"holds {name!r} of shape {shape} in {member.size - head} bytes")
    return Member(
        name, member.method, member.checksum, start, member.packed, member.size, head, dtype, shape
    )


def _dtype(text: str) -> np.dtype[Any] | None:
    """A type of plain bytes, or of objects."""
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError, OverflowError, MemoryError):
        return None
    return dtype if dtype.hasobject or (dtype.kind in PLAIN and dtype.itemsize) else None


def _at(file: IO[bytes], place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)
