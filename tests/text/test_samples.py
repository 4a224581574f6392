"""Rows that stand for a whole file."""

from __future__ import annotations

from plainbert.text.samples import spread


def test_rows_at_even_distances() -> None:
    assert spread(range(100), 4) == [0, 25, 50, 75]
    assert spread("abc", 5) == ["a", "b", "c"]
    assert spread([], 5) == []
