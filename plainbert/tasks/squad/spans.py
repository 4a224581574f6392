"""The spans of windows that may be answers: which are tried, and what all of them weigh.

Letters: Q questions, N windows of L tokens, n candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lowest_null(
    null: NDArray[np.float64], owner: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Logits of "no answer" of each question: those of its window with the lowest sum; (Q, 2).

    A window without the answer is right to say so: the one that says it least counts.
    """
    order = np.lexsort((np.arange(len(owner)), null.sum(1), owner))
    return null[order[np.searchsorted(owner[order], np.arange(count))]]


def span_mass(
    start: NDArray[np.float64], end: NDArray[np.float64], longest: int
) -> NDArray[np.float64]:
    """Of every window the logarithm of the sum of exp(score) over all spans; (N,).

    Args:
        start: logits, -inf where none may start; (N, L).
        end: logits, -inf where none may end; (N, L).
        longest: tokens of a span at most.
    """
    tops = [np.where(np.isfinite(top := one.max(1)), top, 0) for one in (start, end)]
    starts, ends = (np.exp(one - top[:, None]) for one, top in zip((start, end), tops, strict=True))
    total = np.zeros(len(start))
    for size in range(min(longest, start.shape[1])):
        total += np.einsum("nl,nl->n", starts[:, : starts.shape[1] - size], ends[:, size:])
    with np.errstate(divide="ignore"):  # a window without any span
        mass: NDArray[np.float64] = np.log(total) + tops[0] + tops[1]
    return mass


def candidates(
    start: NDArray[np.float64], end: NDArray[np.float64], n_best: int, longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Window, first and last token of every candidate, in the order in which Google tries them.

    Args:
        start: logits, -inf where none may start; (N, L).
        end: logits, -inf where none may end; (N, L).
        n_best: starts and ends that are tried per window.
        longest: tokens of a span at most.
    """
    # Stable: of equal logits the token that comes first in the window counts as better.
    starts, ends = (
        np.argsort(-logits, axis=1, kind="stable")[:, :n_best] for logits in (start, end)
    )
    firsts, lasts = starts[:, :, None], ends[:, None, :]  # (N, n, 1), (N, 1, n)
    rows = np.arange(len(start))[:, None]
    # The best n may reach into what is not allowed, where a window has few tokens of the context.
    possible = np.isfinite(start[rows, starts])[:, :, None] & np.isfinite(end[rows, ends])[:, None]
    possible &= (lasts >= firsts) & (lasts < firsts + longest)
    window, which_start, which_end = possible.nonzero()
    return window, starts[window, which_start], ends[window, which_end]
