"""Statistics gathered batch by batch are those of everything at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.compare.difference import Spread


@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(any),
    offset=st.sampled_from([0.0, 1e-3, 1e6]),
    seed=st.integers(0, 99),
)
def test_batches_add_up(sizes: list[int], offset: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    pairs = [(draw.normal(size=(size, 3)), draw.normal(size=(size, 3)) + offset) for size in sizes]
    spread = Spread()
    for one, two in pairs:
        spread.add(one, two)

    row = spread.row("layer 1")

    one, two = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    off = one - two
    assert row.name == "layer 1"
    assert row.values == off.size
    assert row.mean == pytest.approx(np.abs(off).mean(), rel=1e-12)
    assert row.max == np.abs(off).max()
    # A naive sum of squares would lose all digits at the largest offset.
    assert row.std == pytest.approx(off.std(), rel=1e-6)
    assert row.largest == np.abs(one).max()


def test_the_tolerance_itself_is_within() -> None:
    spread = Spread()
    spread.add(np.array([0.0, 0.25]), np.array([0.0, 0.0]))
    row = spread.row("x")
    assert row.within(0.25)
    assert not row.within(0.2499)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("both", [True, False])
def test_what_is_not_finite_is_never_equal(bad: float, both: bool) -> None:
    spread = Spread()
    spread.add(np.array([1.0, bad]), np.array([1.0, bad if both else 1.0]))
    spread.add(np.array([1.0]), np.array([1.0]))  # a good batch after it hides nothing
    assert not spread.row("x").within(1e300)


def test_float32_is_subtracted_in_float64() -> None:
    spread = Spread()
    spread.add(np.array([1.0], np.float32), np.array([1.0 + 1e-12]))
    assert spread.row("x").max == pytest.approx(1e-12, rel=1e-3)
