"""Pooling against the formulas, one sequence at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plainbert.errors import UnknownNameError, UsageError
from plainbert.nn.layout import Packed, Padded
from plainbert.nn.names import NUMBERS, POOLINGS, kind_of
from plainbert.nn.pooling import Pooling, normalize, pool


def slowly(kind: str, h: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The rules of bert-as-service for one sequence: h (L, D), m (L,)."""
    if kind == "mean":
        return (h * m[:, None]).sum(0) / (m.sum() + 1e-10)
    if kind == "max":
        return (h - (1 - m[:, None]) * 1e30).max(0) if m.any() else np.zeros(h.shape[1])
    if kind == "mean_max":
        return np.concatenate([slowly("mean", h, m), slowly("max", h, m)])
    return h[0] if kind == "first" else h[-1]


@pytest.mark.parametrize("kind", ["mean", "max", "mean_max", "first", "last"])
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_matches_the_formula(kind: str, lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(sum(lengths), 5)) - 3  # a forgotten mask would win a maximum
    mask = random.random(sum(lengths)) < 0.7
    stops = np.cumsum(lengths)[:-1]
    for given_mask in (None, mask):
        used = np.ones(len(mask)) if given_mask is None else given_mask.astype(float)
        right = [
            slowly(kind, h, m)
            for h, m in zip(np.split(hidden, stops), np.split(used, stops), strict=True)
        ]
        got = pool(
            kind,
            torch.from_numpy(hidden),
            Packed(lengths),
            None if given_mask is None else torch.from_numpy(given_mask),
        )
        np.testing.assert_allclose(got.numpy(), np.stack(right), rtol=0, atol=1e-9)


def test_names() -> None:
    assert {kind_of(name) for name in POOLINGS} == set(NUMBERS)
    assert kind_of("reduce_mean") == kind_of("MEAN") == "mean"
    assert kind_of("CLS_TOKEN") == kind_of("FIRST_TOKEN") == kind_of("cls") == "first"
    assert [kind_of(name) for name in ("NONE", "REDUCE_MAX", "REDUCE_MEAN", "CLS_POOLED")] == [
        kind for number in (0, 1, 2, 6) for kind in NUMBERS if NUMBERS[kind] == number
    ]
    with pytest.raises(UnknownNameError, match="Did you mean 'REDUCE_MEAN'"):
        kind_of("REDUCE_MEEN")


def test_layers() -> None:
    assert Pooling("mean", (-2,)).depth(12) == 11
    assert Pooling("mean", (-4, -1)).depth(12) == 12
    with pytest.raises(UsageError, match="the model has 3 layers, -1 to -3"):
        Pooling("mean", (-4,)).depth(3)
    for layers in ((), (0,), (1, -1)):
        with pytest.raises(UsageError, match="counted from the end"):
            Pooling("mean", layers)
    with pytest.raises(UsageError, match="CLS_POOLED is made of the last layer"):
        Pooling("CLS_POOLED", (-2,))


def test_a_zero_vector_has_no_direction() -> None:
    assert normalize(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [
        pytest.approx([0.6, 0.8]),
        [0, 0],
    ]


@pytest.mark.parametrize("kind", ["mean", "max", "mean_max", "first", "last"])
def test_padded_batches_give_the_same(kind: str) -> None:
    lengths = torch.tensor([3, 1, 5])
    hidden = torch.randn(3, 5, 4, dtype=torch.float64)
    real = torch.arange(5) < lengths[:, None]
    right = pool(kind, hidden[real], Packed(lengths.tolist()))
    torch.testing.assert_close(pool(kind, hidden, Padded(real)), right, rtol=1e-12, atol=0)
    counted = torch.tensor([True, False, True, True, False]) & real
    right = pool(kind, hidden[real], Packed(lengths.tolist()), counted[real])
    got = pool(kind, hidden, Padded(real), counted)
    torch.testing.assert_close(got, right, rtol=1e-12, atol=0)
