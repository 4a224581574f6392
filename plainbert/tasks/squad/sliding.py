"""Windows that slide over rows of tokens, and which tokens each of them shows best.

Letters: Q rows (contexts of questions), N windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Slid:
    """Windows over rows of tokens.

    Attributes:
        row: the row that each window lies in; (N,), never falling.
        begin: first token of each window in its row; (N,).
        size: tokens of each window; (N,).
        max_context: range, counted from the window's first token, of the tokens that no other
            window of the row shows with more context around; (N, 2).
    """

    row: Ints
    begin: Ints
    size: Ints
    max_context: Ints


def slide(tokens: Ints, room: Ints, stride: int) -> Slid:
    """Lay windows over rows; every row has one at least, an empty row too.

    Args:
        tokens: tokens of each row; (Q,).
        room: tokens that a window of the row holds at most; (Q,).
        stride: tokens from one window's first to the next one's.

    Source:
        google-research/bert, run_squad.py, ``convert_examples_to_features``.
    """
    # A stride above the room would leave tokens between two windows that no window shows.
    step = np.minimum(room, stride)
    # The first window that reaches the end is the last: -(-a // b) rounds up.
    counts = 1 + np.maximum(0, -(-(tokens - room) // step))
    row = ragged.rows(counts)
    begin = ragged.within(counts) * step[row]
    size = np.minimum(room[row], tokens[row] - begin)
    max_context = np.stack([np.zeros_like(size), size], 1)
    several = np.flatnonzero(counts[row] > 1)  # few rows in most sets, and only these need work
    if len(several):
        max_context[several] = _max_context(row[several], begin[several], size[several])
    return Slid(row, begin, size, max_context)


def _max_context(row: Ints, begin: Ints, size: Ints) -> Ints:
    """Which tokens each of a row's windows shows with the most context around; (N, 2).

    The score is Google's: the smaller of the tokens left and right, and a hundredth of the
    window's size; of equal windows the first counts. So each window has one range of tokens.
    """
    place = ragged.within(size)  # in the window
    window = ragged.rows(size)
    score = np.minimum(place, size[window] - 1 - place) + 0.01 * size[window]
    # A number for every token of every row, so that one sort serves all rows: each row gets as
    # many numbers as its last window reaches.
    lasts = np.flatnonzero(np.diff(row, append=-1))
    reach = begin[lasts] + size[lasts]
    base = np.repeat(ragged.offsets(reach)[:-1], np.diff(lasts, prepend=-1))
    token = base[window] + begin[window] + place
    # By token, the best score first, and of equal scores the first window.
    order = np.lexsort((window, -score, token))
    best = order[np.flatnonzero(np.diff(token[order], prepend=-1))]  # of each token, in order
    # The score falls by one a token on either side of a window's middle, so the tokens where a
    # window is best are neighbours: their first place and their number are the range.
    bounds = np.zeros((len(size), 2), np.int64)
    windows, firsts, counts = np.unique(window[best], return_index=True, return_counts=True)
    bounds[windows, 0] = place[best][firsts]
    bounds[windows, 1] = bounds[windows, 0] + counts
    return bounds
