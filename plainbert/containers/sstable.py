"""LevelDB's sorted table: a file of keys and values in blocks with checksums.

A file is data blocks, a metaindex block, an index block and a footer of 48 bytes that says where
the last two lie. A block is entries (bytes shared with the previous key, new bytes, bytes of the
value, new part of the key, value), restart offsets and their number; behind it one byte tells how
it is packed and four are the masked CRC-32C of all that.

Source:
    https://github.com/google/leveldb/blob/main/doc/table_format.md;
    tensorflow/core/lib/io/table_builder.cc, block_builder.cc, format.cc
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plainbert.containers import snappy
from plainbert.containers.crc32c import crc32c, masked
from plainbert.containers.protobuf import varint, write_varint
from plainbert.errors import FormatError

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
TRAILER = 5
PLAIN, SNAPPY = 0, 1
BLOCK_SIZE = 262144  # where TensorFlow starts a new block
RESTART = 16  # every so many keys of a data block one is written whole
# Prefix sharing lets a few bytes stand for a long key; keys of TensorFlow are names of variables.
LONGEST_KEY = 4096
KEY_RATIO = 32


def read_table(data: memoryview) -> dict[bytes, bytes]:
    """All keys and values, in the order of the file, with every checksum verified.

    Raises:
        FormatError: garbled; the message has no file name, which the caller adds.
    """
    if len(data) < FOOTER or data[-len(MAGIC) :] != MAGIC:
        raise FormatError(
            f"its {len(data)} bytes do not end with a table's magic number; it is truncated or "
            "something else"
        )
    footer = bytes(data[-FOOTER : -len(MAGIC)])
    place = 0
    handle: list[int] = []
    for _ in range(4):
        number, place = varint(footer, place)
        handle.append(number)
    entries: dict[bytes, bytes] = {}
    last, behind = b"", 0
    for _, value in _entries(_block(data, handle[2], handle[3])):
        start, place = varint(value, 0)
        size, place = varint(value, place)
        # Blocks in order, none read twice: what is unpacked stays in proportion to the file.
        if start < behind:
            raise FormatError(f"block at byte {start} lies before the end of the one before it")
        behind = start + size + TRAILER
        for key, content in _entries(_block(data, start, size)):
            if entries and key <= last:
                raise FormatError(f"key {key[:80]!r} is out of order")
            entries[key] = content
            last = key
    return entries


def _block(data: memoryview, start: int, size: int) -> bytes:
    """Content of the block at a place, unpacked."""
    end = start + size
    if end + TRAILER > len(data) - FOOTER:
        raise FormatError(f"a block of {size} bytes at byte {start} lies outside the file")
    stored = int.from_bytes(data[end + 1 : end + TRAILER], "little")
    if masked(crc32c(data[start : end + 1])) != stored:
        raise FormatError(f"the checksum of the block at byte {start} does not match its content")
    if data[end] == PLAIN:
        return bytes(data[start:end])
    if data[end] == SNAPPY:
        return snappy.unpack(data[start:end])
    raise FormatError(f"the block at byte {start} is packed in way {data[end]}, which is not known")


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; the restart points are not needed to read it whole."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise FormatError(f"a block of {len(block)} bytes cannot have {restarts} restart points")
    key = b""
    place = total = 0
    while place < end:
        shared, place = varint(block, place)
        fresh, place = varint(block, place)
        size, place = varint(block, place)
        if shared > len(key) or fresh + size > end - place:
            raise FormatError("an entry of a block is cut off")
        total += shared + fresh
        if shared + fresh > LONGEST_KEY or total > KEY_RATIO * (len(block) + LONGEST_KEY):
            raise FormatError(
                f"keys longer than {LONGEST_KEY} bytes, or far too many bytes of keys"
            )
        key = key[:shared] + block[place : place + fresh]
        place += fresh
        yield key, block[place : place + size]
        place += size


def write_table(entries: Mapping[bytes, bytes]) -> bytes:
    """A table, byte for byte as TensorFlow writes it (unpacked blocks)."""
    out = bytearray()
    index, block = _Block(1), _Block(RESTART)
    keys = sorted(entries)
    for key, following in zip(keys, [*keys[1:], None], strict=False):
        block.add(key, entries[key])
        if following is None or block.size >= BLOCK_SIZE:
            index.add(_between(key, following), _append(out, block.finish()))
            block = _Block(RESTART)
    meta = _append(out, _Block(RESTART).finish())
    footer = meta + _append(out, index.finish())
    return bytes(out + footer.ljust(FOOTER - len(MAGIC), b"\0") + MAGIC)


class _Block:
    """A block in the making, with a whole key every ``interval`` entries."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.data = bytearray()
        self.restarts = [0]
        self.entries = 0
        self.last = b""

    @property
    def size(self) -> int:
        """Bytes of the finished block."""
        return len(self.data) + 4 * (len(self.restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        """Add an entry; keys come in order."""
        if self.entries and self.entries % self.interval == 0:
            self.restarts.append(len(self.data))
            self.last = b""
        shared = _common(self.last, key)
        for number in (shared, len(key) - shared, len(value)):
            self.data += write_varint(number)
        self.data += key[shared:] + value
        self.last = key
        self.entries += 1

    def finish(self) -> bytes:
        """The bytes of the block, without its trailer."""
        tail = [*self.restarts, len(self.restarts)]
        return bytes(self.data) + b"".join(number.to_bytes(4, "little") for number in tail)


def _append(out: bytearray, block: bytes) -> bytes:
    """Add a block with its trailer; where it lies, as the index and the footer say it."""
    handle = write_varint(len(out)) + write_varint(len(block))
    block += bytes([PLAIN])
    out += block + masked(crc32c(block)).to_bytes(4, "little")
    return handle


def _between(key: bytes, following: bytes | None) -> bytes:
    """A short key that is not below ``key`` and below ``following``, as LevelDB picks it."""
    if following is None:  # the shortest above all keys of the block
        for place, byte in enumerate(key):
            if byte != 255:
                return key[:place] + bytes([byte + 1])
        return key
    place = _common(key, following)
    if place < min(len(key), len(following)) and key[place] < 255:
        raised = bytes([key[place] + 1])
        if raised[0] < following[place]:
            return key[:place] + raised
    return key


def _common(left: bytes, right: bytes) -> int:
    """How many bytes two keys share at the front."""
    limit = min(len(left), len(right))
    return next((place for place in range(limit) if left[place] != right[place]), limit)
