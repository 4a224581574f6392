from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plainbert import ragged

ROWS = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=8)


@given(ROWS)
def test_rows_are_found_again(lists: list[list[int]]) -> None:
    sizes = [len(row) for row in lists]
    flat = [value for row in lists for value in row]
    bounds = ragged.offsets(sizes)

    assert [flat[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)] == lists
    pairs = [(row, place) for row, values in enumerate(lists) for place in range(len(values))]
    assert list(zip(ragged.rows(sizes), ragged.within(sizes), strict=True)) == pairs


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 5)), max_size=8))
def test_ranges(pairs: list[tuple[int, int]]) -> None:
    starts, sizes = [start for start, _ in pairs], [size for _, size in pairs]

    numbers = [number for start, size in pairs for number in range(start, start + size)]

    assert ragged.ranges(starts, sizes).tolist() == numbers


def test_nothing() -> None:
    for empty in ([], np.zeros(0, np.int32)):
        assert ragged.offsets(empty).tolist() == [0]
        assert ragged.rows(empty).dtype == np.int64
        assert ragged.within(empty).tolist() == ragged.ranges(empty, empty).tolist() == []
