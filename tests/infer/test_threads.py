"""Batches side by side: every row once, errors come through, torch's threads are left as found."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from plainbert.batching.batch import Batch
from plainbert.batching.features import Features
from plainbert.infer import threads as streams


@pytest.fixture(autouse=True)
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def features(lengths: list[int]) -> Features:
    offsets = np.cumsum([0, *lengths])
    ids = np.concatenate([np.full(length, row, np.int32) for row, length in enumerate(lengths)])
    return Features(ids, offsets, np.zeros(len(ids), np.uint8))


def test_every_row_once_in_several_threads() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 300).tolist()
    seen: list[int] = []
    names: set[str] = set()
    meet = threading.Barrier(3, timeout=20)

    def work(batch: Batch) -> None:
        if threading.current_thread().name not in names:
            names.add(threading.current_thread().name)
            meet.wait()  # all three are at work at once
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1
        rows = [lengths[row] for row in batch.index]
        assert batch.layout.lengths().tolist() == rows
        right = np.repeat(batch.index, rows)
        np.testing.assert_array_equal(batch.ids.numpy(), right)
        assert len(batch.ids) == len(batch.types) == len(batch.layout.positions())
        assert (len(batch.ids) + batch.layout.fill) % 8 == 0  # few different numbers of rows
        seen.extend(batch.index.tolist())

    streams.run(work, features(lengths), "cpu", 128, False)
    assert sorted(seen) == list(range(300))
    assert len(names) == 3
    assert torch.get_num_threads() == 3
    assert not torch.is_inference_mode_enabled()


def test_an_error_comes_through() -> None:
    def work(batch: Batch) -> None:
        raise ValueError("from a thread")

    with pytest.raises(ValueError, match="from a thread"):
        streams.run(work, features([5] * 100), "cpu", 20, False)
    assert torch.get_num_threads() == 3


def test_few_tokens_in_16_bits_take_one_thread() -> None:
    counts = []
    for narrow in (True, False):
        streams.run(
            lambda batch: counts.append(torch.get_num_threads()),
            features([4, 4]),
            "cpu",
            100,
            False,
            narrow,
        )
    assert counts == [1, 3]
    assert torch.get_num_threads() == 3


def test_one_batch_stays_in_this_thread() -> None:
    names = []
    streams.run(
        lambda batch: names.append(threading.current_thread().name),
        features([4, 4]),
        "cpu",
        100,
        False,
    )
    assert names == [threading.current_thread().name]
