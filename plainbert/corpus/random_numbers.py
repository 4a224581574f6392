"""Random numbers that are functions of what they are for.

Each number is a hash of a key and a counter (SplitMix64), so that it depends on the seed, the
pass, the document and the token only: not on what was drawn before it, nor in which process.

Source:
    Steele, Lea, Flood 2014, Fast splittable pseudorandom number generators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_A, _B, _C = np.uint64(30), np.uint64(27), np.uint64(31)
Keys = NDArray[np.uint64]


def mix(values: Keys) -> Keys:
    """Scramble 64-bit numbers, in place; returns them."""
    values ^= values >> _A
    values *= _FIRST
    values ^= values >> _B
    values *= _SECOND
    values ^= values >> _C
    return values


def keys(*parts: NDArray[Any] | int) -> Keys:
    """One key for each combination of numbers, such as (seed, epoch, instance).

    Args:
        parts: whole numbers or arrays of them, which broadcast.
    """
    state = np.zeros(1, np.uint64)
    for part in parts:
        number = np.asarray(part)
        if number.dtype != np.uint64:
            number = np.asarray(part % (1 << 64) if isinstance(part, int) else part).astype("u8")
        state = mix((state ^ number) * STEP + STEP)
    return state


def uniform(numbers: Keys) -> NDArray[np.float64]:
    """Scrambled numbers as floats in [0, 1)."""
    return (numbers >> np.uint64(11)).astype(np.float64) * 2.0**-53


def binomial(key: Keys, trials: NDArray[np.int64]) -> NDArray[np.int64]:
    """Successes in so many trials that succeed half of the time; (N,).

    Args:
        key: one per row; (N,).
        trials: of each row; (N,).
    """
    successes = np.zeros(len(trials), np.int64)
    some = np.flatnonzero(trials)
    if not len(some):
        return successes
    words = (trials[some] + 63) >> 6
    ends = words.cumsum()
    place = np.arange(ends[-1]) - np.repeat(ends - words, words)
    bits = mix(np.repeat(key[some], words) + (place.astype(np.uint64) + np.uint64(1)) * STEP)
    unused = (words * 64 - trials[some]).astype(np.uint64)
    bits[ends - 1] >>= unused
    successes[some] = np.add.reduceat(_ones(bits), ends - words)
    return successes


def _ones(bits: Keys) -> NDArray[np.int64]:
    """Bits that are set, of each number (Hacker's Delight, 5-1)."""
    u = np.uint64
    bits = bits - ((bits >> u(1)) & u(0x5555555555555555))
    bits = (bits & u(0x3333333333333333)) + ((bits >> u(2)) & u(0x3333333333333333))
    bits = (bits + (bits >> u(4))) & u(0x0F0F0F0F0F0F0F0F)
    return ((bits * u(0x0101010101010101)) >> u(56)).astype(np.int64)
