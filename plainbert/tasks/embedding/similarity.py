"""How much vectors are alike, and which are nearest.

Source:
    sentence-transformers, util.similarity: the functions and their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import arguments
from plainbert.errors import UnknownNameError, UsageError

Array = NDArray[np.float32]

SHARE = 4_000_000  # numbers of a table of differences that are in memory at a time


def rows_of(name: str, vectors: Any) -> Array:
    """Vectors as rows: (N, D) float32, and one vector as a single row.

    Args:
        name: how the caller calls them.
        vectors: an array, a tensor on any device, or lists of numbers.

    Raises:
        UsageError: they are none.
    """
    if hasattr(vectors, "detach"):  # of torch, which numpy does not take from other devices
        vectors = vectors.detach().float().cpu()
    try:
        rows: Array = np.asarray(vectors, np.float32)
    except (TypeError, ValueError):
        rows = np.zeros((), np.float32)
    if rows.ndim not in (1, 2):
        raise UsageError(
            f"{name} is {arguments.short(vectors)} ({type(vectors).__name__}); texts are expected, "
            "or vectors, as rows of an array (N, D)."
        )
    return rows[None] if rows.ndim == 1 else rows


def compare(first: Array, second: Array, name: str | None = None) -> Array:
    """How much every row of one side is like every row of the other; more is more alike.

    Args:
        first: (N, D)
        second: (M, D)
        name: "cosine" (None means it), "dot", "euclidean" or "manhattan", of which the last two
            are distances with a minus before them.

    Returns:
        (N, M), float32.

    Raises:
        UsageError: the sides have vectors of different width.
        UnknownNameError: there is no such function.
    """
    name = name or "cosine"
    if name not in FUNCTIONS:
        raise UnknownNameError("similarity", name, FUNCTIONS)
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"vectors of {first.shape[1]} and of {second.shape[1]} numbers cannot be compared."
        )
    return FUNCTIONS[name](first, second)


def _cosine(first: Array, second: Array) -> Array:
    return _dot(_unit(first), _unit(second))


def _dot(first: Array, second: Array) -> Array:
    table: Array = first @ second.T
    return table


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Array = rows / np.maximum(lengths, np.float32(1e-12))
    return units


def _euclidean(first: Array, second: Array) -> Array:
    return _negative(first, second, lambda difference: np.sqrt((difference**2).sum(-1)))


def _manhattan(first: Array, second: Array) -> Array:
    return _negative(first, second, lambda difference: np.abs(difference).sum(-1))


def _negative(first: Array, second: Array, length: Callable[[Any], Any]) -> Array:
    table = np.empty((len(first), len(second)), np.float32)
    step = max(1, SHARE // max(1, second.size))
    for start in range(0, len(first), step):
        part = first[start : start + step, None].astype(np.float64)
        table[start : start + step] = -length(part - second)
    return table


FUNCTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "cosine": _cosine,
    "dot": _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}


def nearest(table: Array, count: int) -> NDArray[np.int64]:
    """The columns with the highest numbers of every row, the highest first; (N, K).

    Args:
        table: (N, M)
        count: K; all columns where there are not so many.
    """
    count = min(count, table.shape[1])
    # Of equal numbers the one that comes first is first.
    return np.argsort(-table, axis=1, kind="stable")[:, :count]
