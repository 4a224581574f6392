"""Windows over rows of tokens, by hand; test_windows holds them to Google's loops."""

from __future__ import annotations

import numpy as np

from plainbert.tasks.squad.sliding import slide


def test_windows_by_hand() -> None:
    """Nine tokens, windows of five that are two apart; one window; an empty row."""
    slid = slide(np.array([9, 5, 0]), np.array([5, 5, 3]), 2)

    assert slid.row.tolist() == [0, 0, 0, 1, 2]
    assert slid.begin.tolist() == [0, 2, 4, 0, 0]
    assert slid.size.tolist() == [5, 5, 5, 5, 0]
    # Of the first row's tokens 0 to 3, 4 and 5 to 8: from token 3 on the second has as much
    # context as the first, and of equal windows the first counts.
    assert slid.max_context.tolist() == [[0, 4], [2, 4], [2, 5], [0, 5], [0, 0]]


def test_a_stride_above_the_room_leaves_no_token_out() -> None:
    slid = slide(np.array([7]), np.array([3]), 5)

    assert slid.begin.tolist() == [0, 3, 6]
    assert slid.size.tolist() == [3, 3, 1]
    assert slid.max_context.tolist() == [[0, 3], [0, 3], [0, 1]]
