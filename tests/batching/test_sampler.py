"""The sampler: every example once an epoch, the same for ever, and nothing remembered."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.batching import sampler as module
from plainbert.batching.sampler import Sampler
from plainbert.errors import UsageError

CASES = {
    "count": st.integers(1, 300),
    "batch_size": st.integers(1, 17),
    "accumulate": st.integers(1, 4),
    "ranks": st.integers(1, 4),
    "seed": st.integers(0, 2**31),
    "bucket": st.booleans(),
}


def make(count, batch_size, accumulate, ranks, seed, bucket):
    lengths = np.random.default_rng(count).integers(1, 60, count)
    return Sampler(lengths, batch_size, seed, accumulate, ranks, bucket)


@given(**CASES)
def test_every_example_is_seen_once_an_epoch(count, batch_size, accumulate, ranks, seed, bucket):
    sampler = make(count, batch_size, accumulate, ranks, seed, bucket)
    for epoch in (0, 3):
        steps = range(epoch * sampler.steps_per_epoch, (epoch + 1) * sampler.steps_per_epoch)
        assert all(sampler.epoch(step) == epoch for step in steps)
        seen = [ids for step in steps for rank in range(ranks) for ids in sampler.batch(step, rank)]
        assert sorted(np.concatenate(seen)) == list(range(count))


@given(**CASES, step=st.integers(0, 1000))
def test_parts_of_a_step_are_of_near_equal_size(
    count, batch_size, accumulate, ranks, seed, bucket, step
):
    sampler = make(count, batch_size, accumulate, ranks, seed, bucket)
    parts = [ids for rank in range(ranks) for ids in sampler.batch(step, rank)]
    sizes = [len(ids) for ids in parts]
    assert len(parts) == accumulate * ranks
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
    assert sorted(np.concatenate(parts)) == sorted(sampler.examples(step))
    last = step % sampler.steps_per_epoch == sampler.steps_per_epoch - 1
    assert last or sum(sizes) == sampler.global_size


@given(**CASES)
def test_the_cut_does_not_change_the_global_batches(
    count, batch_size, accumulate, ranks, seed, bucket
):
    cut = make(count, batch_size, accumulate, ranks, seed, bucket)
    whole = make(count, batch_size * accumulate * ranks, 1, 1, seed, bucket)
    for step in range(cut.steps_per_epoch):
        assert (cut.examples(step) == whole.examples(step)).all()


@given(**CASES, step=st.integers(0, 200))
def test_a_step_does_not_depend_on_those_before(
    count, batch_size, accumulate, ranks, seed, bucket, step
):
    used = make(count, batch_size, accumulate, ranks, seed, bucket)
    for earlier in range(step):
        used.examples(earlier)
    fresh = make(count, batch_size, accumulate, ranks, seed, bucket)
    assert (used.examples(step) == fresh.examples(step)).all()


def test_epochs_and_seeds_differ():
    sampler, other = make(200, 8, 1, 1, 1, True), make(200, 8, 1, 1, 2, True)
    first = np.concatenate([sampler.examples(step) for step in range(25)])
    second = np.concatenate([sampler.examples(step) for step in range(25, 50)])
    assert (first != second).any()
    assert (first != np.concatenate([other.examples(step) for step in range(25)])).any()


def test_the_order_is_the_same_on_every_machine():
    """Recorded; a change would break the resuming of runs that are under way."""
    sampler = Sampler([5, 9, 1, 7, 3, 8, 2, 6, 4, 10], 3, seed=7)
    assert [sampler.examples(step).tolist() for step in range(4)] == RECORDED


RECORDED = [[3, 5, 9], [8, 0, 7], [2, 6, 4], [1]]


def test_batches_hold_similar_lengths():
    lengths = np.random.default_rng(0).integers(5, 128, 3000)

    def waste(bucket):
        sampler = Sampler(lengths, 32, 1, bucket=bucket)
        batches = [lengths[sampler.examples(step)] for step in range(sampler.steps_per_epoch)]
        return sum(len(each) * each.max() for each in batches) / lengths.sum() - 1

    assert waste(True) < 0.1 < 0.5 < waste(False)


def test_batches_come_in_no_order_of_length():
    lengths = np.arange(1, 3201)
    sampler = Sampler(lengths, 32, 1)
    means = [lengths[sampler.examples(step)].mean() for step in range(100)]
    assert abs(np.corrcoef(means, np.arange(100))[0, 1]) < 0.3


def test_mistakes_are_named():
    with pytest.raises(UsageError, match="no examples"):
        Sampler([], 4, 0)
    with pytest.raises(UsageError, match="accumulate=0"):
        Sampler([1], 4, 0, accumulate=0)


def test_the_sampler_needs_no_torch():
    code = "import sys, plainbert.batching.sampler; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


TOKENS = {
    "count": st.integers(1, 400),
    "budget": st.integers(1, 900),
    "ranks": st.integers(1, 3),
    "seed": st.integers(0, 99),
    "bucket": st.booleans(),
}


def epoch_of(sampler, epoch=0):
    start = epoch * sampler.steps_per_epoch
    return [sampler.examples(start + step) for step in range(sampler.steps_per_epoch)]


@given(**TOKENS)
def test_token_budgets_are_about_kept(count, budget, ranks, seed, bucket):
    lengths = np.random.default_rng(count).integers(1, 60, count)
    sampler = Sampler(lengths, budget, seed, 2, ranks, bucket, tokens=True)
    total, wanted = lengths.sum(), budget * 2 * ranks
    assert sampler.global_size == wanted
    assert sampler.steps_per_epoch == min(math.ceil(total / wanted), count)
    batches = epoch_of(sampler, 2)
    assert sorted(np.concatenate(batches)) == list(range(count))
    sizes = np.array([lengths[ids].sum() for ids in batches])
    assert min(len(ids) for ids in batches) >= 1
    if wanted >= 60 and len(batches) > 1:  # the budget of the mean batch, give or take an example
        assert abs(sizes - total / len(batches)).max() <= 60
        assert sizes.max() <= wanted + 60


def test_short_examples_come_in_larger_batches():
    lengths = np.random.default_rng(0).integers(5, 128, 3000)
    sampler = Sampler(lengths, 2000, 1, tokens=True)
    batches = epoch_of(sampler)
    means = [lengths[ids].mean() for ids in batches]
    counts = np.array([len(ids) for ids in batches])
    assert np.corrcoef(means, 1 / counts)[0, 1] > 0.99
    assert max(counts) > 4 * min(counts)
    waste = sum(len(ids) * lengths[ids].max() for ids in batches) / lengths.sum() - 1
    assert waste < 0.15
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4


def test_a_budget_below_the_shortest_example_takes_one_at_a_time():
    sampler = Sampler([7, 9, 8], 2, 0, tokens=True)
    assert sorted(ids.tolist() for ids in epoch_of(sampler)) == [[0], [1], [2]]


@given(
    count=st.integers(1, 400),
    size=st.integers(1, 30),
    accumulate=st.integers(1, 4),
    ranks=st.integers(1, 4),
    tokens=st.booleans(),
)
def test_a_given_global_size_is_dealt_out_to_all_parts(count, size, accumulate, ranks, tokens):
    """A run that goes on with other ranks keeps its global batches."""
    lengths = np.random.default_rng(count).integers(1, 60, count)
    first = Sampler(lengths, size, 3, tokens=tokens)
    again = Sampler(lengths, 999, 3, accumulate, ranks, tokens=tokens, global_size=size)
    assert again.global_size == first.global_size
    assert again.steps_per_epoch == first.steps_per_epoch
    for step in range(again.steps_per_epoch):
        parts = [ids for rank in range(ranks) for ids in again.batch(step, rank)]
        assert len(parts) == accumulate * ranks
        assert sorted(np.concatenate(parts)) == sorted(first.examples(step))
        sizes = [len(ids) for ids in parts]
        assert max(sizes) - min(sizes) <= 1


@pytest.fixture
def small_blocks(monkeypatch):
    """A few hundred examples are a large corpus."""
    monkeypatch.setattr(module, "BLOCK", 96)
    monkeypatch.setattr(module, "RUN", 16)


BLOCKS = [(count, size) for count in (97, 111, 112, 113, 500, 1024) for size in (1, 3, 16, 17, 50)]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bucket", [True, False])
@pytest.mark.parametrize(("count", "size"), BLOCKS)
def test_blocks_hold_every_example_once(count, size, bucket):
    lengths = np.random.default_rng(count).integers(1, 60, count)
    sampler = Sampler(lengths, size, 7, bucket=bucket)
    assert sampler.steps_per_epoch == math.ceil(count / size)
    for epoch in (0, 3):
        batches = epoch_of(sampler, epoch)
        assert sorted(np.concatenate(batches)) == list(range(count))
        assert [len(ids) for ids in batches[:-1]] == [size] * (len(batches) - 1)
        assert 1 <= len(batches[-1]) <= size


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bucket", [True, False])
@pytest.mark.parametrize(
    ("count", "budget"), [(97, 40), (111, 700), (500, 300), (1024, 5000), (1024, 99999)]
)
def test_blocks_of_token_budgets_hold_every_example_once(count, budget, bucket):
    lengths = np.random.default_rng(count).integers(1, 60, count)
    sampler = Sampler(lengths, budget, 7, bucket=bucket, tokens=True)
    for epoch in (0, 3):
        batches = epoch_of(sampler, epoch)
        assert len(batches) == math.ceil(lengths.sum() / budget)
        assert sorted(np.concatenate(batches)) == list(range(count))
        assert min(len(ids) for ids in batches) >= 1


@pytest.mark.usefixtures("small_blocks")
def test_a_block_is_runs_from_all_over_the_corpus():
    sampler = Sampler(np.ones(1600), 8, 7)
    first = np.concatenate(epoch_of(sampler)[:12])  # one block
    runs = np.sort(first).reshape(6, 16)
    assert (np.diff(runs % 1600, axis=1) == 1).sum() >= 6 * 15 - 1  # one may wrap around
    assert (np.diff(np.sort(first)) > 1).sum() >= 3
    assert not (np.diff(first) == 1).all()


@pytest.mark.usefixtures("small_blocks")
def test_blocks_differ_by_epoch_and_seed_and_need_no_order():
    lengths = np.random.default_rng(0).integers(1, 60, 1000)
    sampler = Sampler(lengths, 8, 7)
    batches = epoch_of(sampler) + epoch_of(sampler, 1)
    half = len(batches) // 2
    assert any((a != b).any() for a, b in zip(batches[:half], batches[half:], strict=True))
    assert (Sampler(lengths, 8, 8).examples(0) != batches[0]).any()
    plain = np.concatenate(epoch_of(Sampler(lengths, 8, 7, bucket=False)))
    steps = (plain[:96] - plain[96:192]) % 16  # places in their runs: each block its own order
    assert len(np.unique(steps)) > 8
    for step in (200, 3, 130, 7, 131, 0):  # jumps between blocks and epochs
        assert (Sampler(lengths, 8, 7).examples(step) == batches[step]).all()
        assert (sampler.examples(step) == batches[step]).all()


@pytest.mark.usefixtures("small_blocks")
def test_the_cut_does_not_change_the_global_batches_of_blocks():
    lengths = np.random.default_rng(0).integers(1, 60, 777)
    for tokens in (False, True):
        whole = epoch_of(Sampler(lengths, 24, 7, tokens=tokens))
        for accumulate, ranks in ((2, 3), (4, 1), (1, 8)):
            size = 24 // accumulate // ranks
            cut = epoch_of(Sampler(lengths, size, 7, accumulate, ranks, tokens=tokens))
            assert len(cut) == len(whole)
            assert all((a == b).all() for a, b in zip(cut, whole, strict=True))
