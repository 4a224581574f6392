"""CRC-32C, the checksum of TensorFlow's files, at the speed of memory without compiled code.

A checksum is the remainder of the message, read as a polynomial over GF(2), divided by the
generator. The generator divides x^6777 + x^484 + x^100 + 1, so a bit at power p may be moved to
p - 6777, p - 6293 and p - 6677 without a change of the remainder. Squaring a polynomial over GF(2)
doubles its powers and adds none, hence the same holds for powers counted in bytes or in words of
64 bits: nearly the whole message folds away in three exclusive ors of long arrays.

Source:
    RFC 3720, section 12.1 and appendix B.4; tensorflow/core/lib/hash/crc32c.h for the mask.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

REFLECTED = 0x82F63B78  # the generator without x^32, lowest bit first
RING = 6777
OFFSETS = (RING - 484, RING - 100, RING)  # how far back a unit is moved
STEP = OFFSETS[0]  # units that can be moved at once: none of them lands among them
LOAD = 4 * STEP  # words per round: a quarter of a megabyte, which stays in the cache
# Four bytes that take a checksum from 0 to its start value. After them zeros in front are free.
START = bytes.fromhex("54641f64")
MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> int:
    """The checksum of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    message = np.frombuffer(data, np.uint8)
    pad = -(len(START) + len(message)) % 8
    head = bytes(pad) + START
    words = np.empty(RING + min(LOAD, (len(head) + len(message)) // 8), np.uint64)
    units = words.view(np.uint8)
    units[: len(head)] = np.frombuffer(head, np.uint8)
    filled, read = len(head), 0  # bytes
    while True:
        taken = min(len(units) - filled, len(message) - read)
        units[filled : filled + taken] = message[read : read + taken]
        read += taken
        filled = 8 * _fold(words, (filled + taken) // 8)
        if read == len(message):
            break
    left = _fold(units, filled)
    bits = np.unpackbits(units[:left], bitorder="little")
    left = _fold(bits, len(bits))
    weights = _weights()[RING - left :]
    return ~int(np.bitwise_xor.reduce(weights[bits[:left] != 0], initial=0)) & 0xFFFFFFFF


def masked(checksum: int) -> int:
    """A checksum as TensorFlow stores it: rotated, so that it may itself be checksummed."""
    return (((checksum >> 15) | (checksum << 17)) + MASK_DELTA) & 0xFFFFFFFF


def _fold(units: NDArray[np.uint64] | NDArray[np.uint8], count: int) -> int:
    """Move all but the last ``RING`` of the first ``count`` units into those, and them forward.

    Returns:
        how many units are left, at the start of the array.
    """
    end = count - RING
    if end <= 0:
        return count
    for start in range(0, end, STEP):
        stop = min(start + STEP, end)
        for offset in OFFSETS:
            units[start + offset : stop + offset] ^= units[start:stop]
    units[:RING] = units[end:count].copy()
    return RING


@lru_cache
def _weights() -> NDArray[np.uint32]:
    """The remainder of each of ``RING`` bits, the first bit first."""
    weights = np.empty(RING, np.uint32)
    value = REFLECTED
    for place in reversed(range(RING)):
        weights[place] = value
        value = (value >> 1) ^ (REFLECTED if value & 1 else 0)
    return weights
