"""The readers of flag values at and beyond their limits."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.cli import values


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (values.positive_int, {"1": 1, "07": 7}, ["0", "-1", "1.0", "", "1e3"]),
        (values.whole_number, {"0": 0, "3": 3}, ["-1", "x"]),
        (values.any_int, {"-3": -3}, ["3.5", ""]),
        (values.number, {"-1e-3": -0.001}, ["nan", "-inf", "1,5", ""]),
        (values.positive, {"1e-9": 1e-9}, ["0", "-1", "inf"]),
        (values.not_negative, {"0": 0.0}, ["-1e-9"]),
        (values.share, {"0": 0.0, "0.99": 0.99}, ["1", "-0.1", "nan"]),
        (values.true_or_false, {"TRUE": True, "0": False, "No": False}, ["", "2", "tru"]),
        (values.names, {"a": ("a",), "a, b": ("a", "b")}, ["", "a,,b", ","]),
        (values.whole_numbers, {"-4,-3": (-4, -3), "1 2": (1, 2)}, ["", ",", "1,x"]),
        (values.devices, {"": (), " ": (), "1,0": (1, 0), "0,": (0,)}, ["-1", "0,0", "x"]),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_readers(read: Callable[[str], object], good: dict[str, object], bad: list[str]) -> None:
    for text, value in good.items():
        got = read(text)
        assert (got, type(got)) == (value, type(value))
    for text in bad:
        with pytest.raises(ArgumentTypeError):
            read(text)


@given(st.lists(st.integers(-99, 99), min_size=1))
def test_lists_of_numbers_are_read_back(numbers: list[int]) -> None:
    assert values.whole_numbers(",".join(map(str, numbers))) == tuple(numbers)


def test_names_out_of_a_set_ignore_case_and_suggest() -> None:
    read = values.one_of("optimizer", lambda: ("bertadam", "adamW"))

    assert read("ADAMW") == "adamW"
    with pytest.raises(ArgumentTypeError, match="no optimizer is named 'bertadm'. Did you mean"):
        read("bertadm")
