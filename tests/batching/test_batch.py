"""Packing rows, and cutting a set into inference batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.batching.batch import collate, inference_batches
from plainbert.batching.features import Features
from plainbert.errors import UsageError

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=40)


def make(lengths, labels=None):
    """Row i holds i * 100, i * 100 + 1, ...; its types are i % 2."""
    lengths = np.array(lengths)
    rows = [np.arange(length) + 100 * row for row, length in enumerate(lengths)]
    types = np.repeat(np.arange(len(lengths)) % 2, lengths)
    offsets = np.concatenate([[0], lengths.cumsum()])
    return Features(np.concatenate(rows).astype(np.int32), offsets, types.astype(np.uint8), labels)


@given(LENGTHS, st.randoms(use_true_random=False))
def test_a_batch_holds_its_rows_shortest_first(lengths, random):
    features = make(lengths, np.arange(len(lengths)) * 10)
    index = np.array(random.sample(range(len(lengths)), random.randint(1, len(lengths))))
    batch = collate(features, index)
    sizes = batch.layout.lengths().tolist()
    assert sorted(batch.index) == sorted(index)
    assert sizes == sorted(sizes)
    for row, part, kinds in zip(
        batch.index, batch.ids.split(sizes), batch.types.split(sizes), strict=True
    ):
        assert part.tolist() == features.row(row)
        assert set(kinds.tolist()) == {row % 2}
    assert batch.labels.tolist() == (batch.index * 10).tolist()
    assert len(batch) == len(index)


def test_no_labels_is_none():
    assert collate(make([3, 1]), np.array([0, 1])).labels is None


@given(st.lists(st.integers(1, 200), max_size=80), st.integers(1, 400))
def test_inference_batches_hold_every_row_once_within_the_budget(lengths, budget):
    batches = inference_batches(lengths, budget)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    sizes = [lengths[row] for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[row] for row in batch) <= budget


def test_a_batch_ends_with_a_run_of_equal_lengths():
    lengths = [10] * 19 + [9] * 5
    batches = inference_batches(lengths, 200)
    assert [sorted({lengths[row] for row in batch}) for batch in batches] == [[10], [9]]
    # A batch that would not be nearly full goes on into the next run.
    assert [len(batch) for batch in inference_batches([10] * 7 + [9] * 9, 100)] == [10, 6]


def test_mistakes_are_named():
    with pytest.raises(UsageError, match="tokens_per_batch=0"):
        inference_batches([1], 0)
