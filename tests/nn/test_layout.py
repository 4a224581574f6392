"""Attention and positions of every layout against the formula, one sequence and head at a time."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plainbert.nn import groups
from plainbert.nn.layout import Packed, Padded, Varlen

HEADS, WIDTH = 3, 4


def by_the_formula(q: Tensor, k: Tensor, v: Tensor, lengths: list[int]) -> Tensor:
    """Eq. 1 of arXiv:1706.03762 on packed (T, N, H) rows."""
    out = torch.zeros_like(v)
    start = 0
    for length in lengths:
        part = slice(start, start + length)
        for n in range(q.shape[1]):
            scores = q[part, n] @ k[part, n].T / math.sqrt(q.shape[-1])
            out[part, n] = scores.softmax(-1) @ v[part, n]
        start += length
    return out


def draw(lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    shape = (sum(lengths), HEADS, WIDTH)
    return [
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for _ in range(3)
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.booleans())
def test_packed_attention_and_its_gradient_match_the_formula(
    lengths: list[int], bucket_lengths: bool
) -> None:
    q, k, v = draw(lengths)
    weight = torch.randn(sum(lengths), HEADS, WIDTH, dtype=torch.float64)

    ours = Packed(lengths, bucket_lengths=bucket_lengths).attend(q, k, v)
    got = torch.autograd.grad((ours * weight).sum(), [q, k, v])
    theirs = by_the_formula(q, k, v, lengths)
    want = torch.autograd.grad((theirs * weight).sum(), [q, k, v])

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for ours_grad, their_grad in zip(got, want, strict=True):
        torch.testing.assert_close(ours_grad, their_grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("slack", [0.0, 0.2, 100.0])
def test_groups_only_change_how_the_work_is_cut(
    slack: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "SLACK", slack)
    monkeypatch.setattr(groups, "SMALL_GROUP", 0)
    lengths = [3, 3, 4, 9, 17, 17, 30]
    q, k, v = draw(lengths)

    torch.testing.assert_close(
        Packed(lengths).attend(q, k, v), by_the_formula(q, k, v, lengths), rtol=0, atol=1e-12
    )


def test_padded_attention_matches_the_formula() -> None:
    lengths = [5, 2, 7]
    q, k, v = draw(lengths)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    spread = [torch.randn(3, 7, HEADS, WIDTH, dtype=torch.float64) for _ in range(3)]
    for padded, packed in zip(spread, (q, k, v), strict=True):
        padded[mask] = packed.detach()

    ours = Padded(mask).attend(*spread)[mask]

    torch.testing.assert_close(ours, by_the_formula(q, k, v, lengths), rtol=0, atol=1e-12)


def test_a_padded_key_weighs_exactly_nothing() -> None:
    lengths = [1, 5]
    q, k, v = draw(lengths)
    alone = Packed([1]).attend(q[:1], k[:1], v[:1])
    assert torch.equal(Packed(lengths).attend(q, k, v)[:1], alone)
    assert torch.equal(alone, v[:1])


def test_positions_first_and_rows() -> None:
    packed = Packed([2, 3, 1])
    hidden = torch.arange(6.0)[:, None]
    index = torch.tensor([[0, 1], [1, 2], [2, 0]])

    assert packed.positions().tolist() == [0, 1, 0, 1, 2, 0]
    assert packed.first(hidden)[:, 0].tolist() == [0, 2, 5]
    assert packed.rows(index).tolist() == [1, 4, 5]
    assert packed.lengths().tolist() == [2, 3, 1]

    padded = Padded(torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]]))
    assert padded.positions().tolist() == [[0, 1, 2]]
    assert padded.rows(index).tolist() == [1, 5, 6]
    assert padded.lengths().tolist() == [2, 3, 1]
    assert padded.num_sequences == packed.num_sequences == 3


def test_dropout_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    lengths = [16] * 64
    q, k, v = draw(lengths)
    many = torch.stack([Packed(lengths).attend(q, k, v, dropout=0.3) for _ in range(200)])
    exact = by_the_formula(q, k, v, lengths)
    assert not torch.equal(many[0], many[1])
    # 200 draws of ~16 weights: a standard error near 0.02; six of them, over all elements.
    assert (many.mean(0) - exact).abs().max() < 0.25
    assert (many.mean(0) - exact).mean().abs() < 1e-3


def test_varlen_falls_back_to_groups_where_the_kernel_does_not_apply() -> None:
    lengths = [4, 6]
    q, k, v = draw(lengths)
    torch.testing.assert_close(
        Varlen(lengths, "cpu").attend(q, k, v), by_the_formula(q, k, v, lengths), rtol=0, atol=1e-12
    )


def test_training_has_few_sizes_and_the_same_result() -> None:
    lengths = [3] * 50 + [4] * 40 + [5] * 30
    q, k, v = draw(lengths)
    many, few = Packed(lengths), Packed(lengths, bucket_lengths=True)
    assert [(group.size, group.length) for group in many._groups] == [(50, 3), (40, 4), (30, 5)]
    assert [(group.size, group.length) for group in few._groups] == [(120, 8)]
    expected = by_the_formula(q, k, v, lengths)
    for layout in (many, few):
        torch.testing.assert_close(layout.attend(q, k, v), expected, rtol=0, atol=1e-12)


def test_sizes_of_training_repeat() -> None:
    rng = random.Random(0)
    drawn = [sorted(rng.randint(20, 384) for _ in range(16)) for _ in range(300)]

    def sizes(few: bool) -> set[tuple[int, int]]:
        cut = [Packed(lengths, bucket_lengths=few)._groups for lengths in drawn]
        return {(group.size, group.length) for groups in cut for group in groups}

    assert 2 * len(sizes(True)) < len(sizes(False))
    assert {length for _, length in sizes(True)} <= set(range(8, 64, 8)) | {
        64,
        80,
        96,
        112,
        *range(128, 385, 32),
    }


@pytest.mark.parametrize("packed", [True, False])
def test_padding_and_its_inverse(packed: bool) -> None:
    lengths = [3, 1, 4]
    real = torch.arange(4) < torch.tensor(lengths)[:, None]
    values = torch.arange(1.0, 17.0).view(8, 2).requires_grad_()
    padded = torch.full((3, 4, 2), 9.0)
    padded[real] = values.detach()
    layout = Packed(lengths) if packed else Padded(real)
    inputs = values if packed else padded.clone().requires_grad_()

    got = layout.pad(inputs, -1.0)
    assert torch.equal(got[real], values.detach())
    assert (got[~real] == -1).all()
    back = layout.unpad(got)
    assert torch.equal(back if packed else back[real], values.detach())
    got.square().sum().backward()
    gradient = inputs.grad if packed else inputs.grad[real]
    assert torch.equal(gradient, 2 * values.detach())
    flags = torch.ones(8 if packed else (3, 4), dtype=torch.bool)
    assert torch.equal(layout.pad(flags), real)
