"""Rows of different sizes, end to end in one array: where each begins, which one an element is in.

Letters: N rows, S elements in all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]


def offsets(sizes: ArrayLike) -> Ints:
    """Where each row begins, and where the last one ends: row i is ``offsets[i]:offsets[i + 1]``.

    Args:
        sizes: elements of each row; (N,).

    Returns:
        (N + 1,)

    Example:
        >>> offsets([2, 0, 3]).tolist()
        [0, 2, 2, 5]
    """
    counts = np.asarray(sizes, np.int64)
    bounds = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=bounds[1:])
    return bounds


def rows(sizes: ArrayLike) -> Ints:
    """The row of every element.

    Args:
        sizes: elements of each row; (N,).

    Returns:
        (S,)

    Example:
        >>> rows([2, 0, 3]).tolist()
        [0, 0, 2, 2, 2]
    """
    counts = np.asarray(sizes, np.int64)
    return np.repeat(np.arange(len(counts)), counts)


def within(sizes: ArrayLike) -> Ints:
    """The number of every element in its row, from 0.

    Args:
        sizes: elements of each row; (N,).

    Returns:
        (S,)

    Example:
        >>> within([2, 0, 3]).tolist()
        [0, 1, 0, 1, 2]
    """
    bounds = offsets(sizes)
    return np.arange(bounds[-1]) - np.repeat(bounds[:-1], np.asarray(sizes, np.int64))


def ranges(starts: ArrayLike, sizes: ArrayLike) -> Ints:
    """The numbers ``starts[i]``, ``starts[i] + 1`` ... of every row, end to end.

    Args:
        starts: first number of each row; (N,).
        sizes: how many numbers each row has; (N,).

    Returns:
        (S,)

    Example:
        >>> ranges([10, 7, 0], [2, 0, 3]).tolist()
        [10, 11, 0, 1, 2]
    """
    counts = np.asarray(sizes, np.int64)
    bounds = offsets(counts)
    numbers = np.repeat(np.asarray(starts, np.int64) - bounds[:-1], counts)
    numbers += np.arange(bounds[-1])  # in place: these are the longest arrays of a data set
    return numbers
