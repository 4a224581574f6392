"""The attention without gradients, which takes exponentials without subtracting the maximum."""

from __future__ import annotations

import pytest
import torch

from plainbert.nn import groups
from plainbert.nn.layout import Packed

N, H = 2, 4


@pytest.fixture(autouse=True, params=[0, 1000], ids=["exponentials", "fused"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small as they are, these batches would all take the fused operation."""
    monkeypatch.setattr(groups, "FEW", request.param)


def by_the_formula(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Eq. 1 of arXiv:1706.03762 for one sequence, (L, N, H) each, in float64."""
    q, k, v = (part.double().transpose(0, 1) for part in (q, k, v))
    return ((q @ k.transpose(1, 2) / H**0.5).softmax(-1) @ v).transpose(0, 1)


def every_sequence(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int]
) -> torch.Tensor:
    parts = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
    return torch.cat([by_the_formula(*part) for part in parts])


@pytest.mark.parametrize("size", [1.0, 30.0, 1000.0], ids="scores up to {}".format)
@pytest.mark.parametrize("lengths", [[5, 5, 5], [3, 4, 7, 7], [1]], ids=str)
def test_no_score_is_too_large(size: float, lengths: list[int]) -> None:
    # exp(1000) is no float32, and exp(-1000) is 0: both must take the way around.
    q, k, v = torch.randn(3, sum(lengths), N, H, dtype=torch.float64).mul_(size**0.5)
    with torch.no_grad():
        got = Packed(lengths).attend(q, k, v)
    right = every_sequence(q, k, v, lengths)
    torch.testing.assert_close(got.double(), right, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_row_of_extreme_scores(sign: float) -> None:
    """All scores of a row far below or above 0; with masks beside them."""
    q, k, v = torch.randn(3, 9, N, H, dtype=torch.float64)
    q[1], k[:4] = 40.0 * sign, 10.0
    with torch.no_grad():
        got = Packed([4, 5]).attend(q, k, v)
    right = every_sequence(q, k, v, [4, 5])
    torch.testing.assert_close(got.double(), right, rtol=0, atol=1e-10)


def test_equals_the_form_with_gradients() -> None:
    lengths = [2, 3, 8, 8, 8, 21]
    q, k, v = torch.randn(3, sum(lengths), N, H, dtype=torch.float64)
    with torch.no_grad():
        got = Packed(lengths).attend(q, k, v)
    torch.testing.assert_close(got, Packed(lengths).attend(q, k, v), rtol=0, atol=1e-12)
