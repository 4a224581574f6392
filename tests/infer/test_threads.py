"""Batches side by side: every row once, errors come through, torch's threads are left as found."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from plainbert.batching.batch import Batch
from plainbert.batching.features import Features
from plainbert.infer import threads as streams
from plainbert.infer.precision import FLOAT32, Precision


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(streams, "_WORKERS", streams.WorkerThreads())
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
        assert (len(batch.ids) + batch.layout.pad_rows) % 8 == 0  # few different numbers of rows
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
    for precision in (Precision(torch.bfloat16), FLOAT32):
        streams.run(
            lambda batch: counts.append(torch.get_num_threads()),
            features([4, 4]),
            "cpu",
            100,
            False,
            precision,
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


def test_calls_at_the_same_time_share_the_workers() -> None:
    """Each gets its own rows; no more workers compute than torch has threads; those stay."""
    lengths = np.random.default_rng(1).integers(1, 40, 200).tolist()
    names: set[str] = set()
    sums: list[dict[int, int]] = [{}, {}]
    counts: list[int] = []
    begin = threading.Barrier(2, timeout=20)

    def call(number: int) -> None:
        def work(batch: Batch) -> None:
            names.add(threading.current_thread().name)
            counts.append(torch.get_num_threads())
            total = 0
            for row, length in zip(batch.index.tolist(), batch.layout.lengths(), strict=True):
                part = batch.ids[total : total + int(length)]
                sums[number][row] = int(part.sum()) + number
                total += int(length)

        begin.wait()
        streams.run(work, features(lengths), "cpu", 64, False)
        counts.append(torch.get_num_threads() - 2)

    callers = [threading.Thread(target=call, args=(number,)) for number in (0, 1)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for number in (0, 1):
        right = {row: row * length + number for row, length in enumerate(lengths)}
        assert sums[number] == right
    assert set(counts) == {1}  # in each worker; each caller still has 3
    assert len(names) == 3
    assert torch.get_num_threads() == 3
    fresh: list[int] = []
    thread = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert fresh == [3]  # and so has a thread that starts now


def test_a_call_that_fails_leaves_none_at_work() -> None:
    at_work = 0
    lock = threading.Lock()

    def work(batch: Batch) -> None:
        nonlocal at_work
        if 0 in batch.index:
            raise ValueError("from a thread")
        with lock:
            at_work += 1
        time.sleep(0.01)
        with lock:
            at_work -= 1

    with pytest.raises(ValueError, match="from a thread"):
        streams.run(work, features([9] + [5] * 40), "cpu", 10, False)
    assert at_work == 0
