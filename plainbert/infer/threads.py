"""A data set through a model, batch by batch; on a CPU several batches at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.batch import Batch, collate, inference_batches
from plainbert.batching.features import Features
from plainbert.infer.precision import FLOAT32, Precision
from plainbert.progress import Progress

# More threads than this would wait for each other in Python between the operations.
MOST_WORKERS = 8
# Tokens whose 16-bit products take less time than threads need to meet.
FEW = 64


class WorkerThreads:
    """Threads that compute batches side by side, each with its share of torch's threads.

    They are started when they are first needed and kept: torch's number of threads belongs to the
    thread that sets it, but a new thread takes over what was set last, by whomever. So setting it
    in every call would change it for the rest of the process. Calls at the same time share them.
    """

    def __init__(self) -> None:
        self._pools: dict[tuple[int, int, int], ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def available(self) -> int:
        """Torch's threads in the thread that calls."""
        with self._lock:  # a thread whose first call this is takes over what was set last
            return torch.get_num_threads()

    def pool(self, workers: int, threads: int) -> ThreadPoolExecutor:
        """Some workers.

        Args:
            workers: number of threads.
            threads: torch's threads in each.
        """
        key = (os.getpid(), workers, threads)  # threads do not survive a fork
        with self._lock:
            if key not in self._pools:
                before = torch.get_num_threads()
                pool = ThreadPoolExecutor(workers, "worker", _set_threads, (threads,))
                # All of them start now, and none later: each changes what new threads take over.
                together = threading.Barrier(workers)
                wait([pool.submit(together.wait) for _ in range(workers)])
                torch.set_num_threads(before)
                self._pools[key] = pool
            return self._pools[key]


_WORKERS = WorkerThreads()
_fork_is_prepared = False


def prepare_fork() -> None:
    """See to it that children of this process can compute; to be called before anything is.

    The threads of torch's loops do not survive a fork, and the child would wait for them: it gets
    one thread. Who wants more starts the process with the method "spawn".
    """
    global _fork_is_prepared
    if not _fork_is_prepared and hasattr(os, "register_at_fork"):
        _fork_is_prepared = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    global _WORKERS
    _WORKERS = WorkerThreads()  # another thread may have held its lock
    torch.set_num_threads(1)


def _set_threads(number: int) -> None:
    """Set torch's number of threads in this thread, which is new."""
    torch.get_num_threads()  # a thread's first call takes over what was set last; not later, then
    torch.set_num_threads(number)


def run(
    work: Callable[[Batch], None],
    features: Features,
    device: torch.device | str,
    tokens_per_batch: int,
    bar: bool,
    precision: Precision = FLOAT32,
) -> None:
    """Call a function with every batch of a data set, in inference mode.

    On a CPU, batches run side by side, each with its share of torch's threads: an operation on
    a thousand tokens is too short to be worth dividing.

    Args:
        work: takes a batch and stores what comes of it; must bear being called in several threads.
        features: the data set.
        device: where the model is.
        tokens_per_batch: tokens of a batch at most.
        bar: show progress.
        precision: of the model's products; in 16 bits one thread is best for a few tokens.
    """
    prepare_fork()

    def one(index: NDArray[np.int64]) -> int:
        with torch.inference_mode():
            work(collate(features, index, device))
        return len(index)

    parts = inference_batches(features.lengths, tokens_per_batch)
    threads = _WORKERS.available() if torch.device(device).type == "cpu" else 1
    few = precision.is_16_bit and features.offsets[-1] <= FEW
    workers = min(threads, MOST_WORKERS if few else len(parts), MOST_WORKERS)
    with Progress("compute", "rows", len(features), bar=bar) as meter:
        if workers <= 1:
            for part in parts:
                meter.update(one(part))
            return
        pool = _WORKERS.pool(workers, 1 if few else threads // workers)
        with _all_done([pool.submit(one, part) for part in parts]) as counts:
            for count in counts:
                meter.update(count)


@contextlib.contextmanager
def _all_done(futures: list[Future[int]]) -> Iterator[Iterator[int]]:
    """The futures' results in order; when the block ends, however it ends, none is at work."""
    try:
        yield (future.result() for future in futures)
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
