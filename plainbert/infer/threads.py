"""A data set through a model, batch by batch; on a CPU several batches at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from plainbert.batching.batch import Batch, collate, inference_batches
from plainbert.batching.features import Features

# More threads than this would wait for each other in Python between the operations.
MOST_STREAMS = 8
# Tokens whose 16-bit products take less time than threads need to meet.
FEW = 64


def run(
    work: Callable[[Batch], None],
    features: Features,
    device: torch.device | str,
    tokens_per_batch: int,
    bar: bool,
    narrow: bool = False,
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
        narrow: the model multiplies in 16 bits; then one thread is best for a few tokens.
    """
    cpu = torch.device(device).type == "cpu"

    def one(index: NDArray[np.int64]) -> int:
        with torch.inference_mode():
            work(collate(features, index, device))
        return len(index)

    parts = inference_batches(features.lengths, tokens_per_batch)
    if cpu and narrow and features.offsets[-1] <= FEW:
        with _threads(1):
            for part in parts:
                one(part)
        return
    threads = torch.get_num_threads()
    streams = min(threads, len(parts), MOST_STREAMS) if cpu else 1
    with contextlib.ExitStack() as stack:
        meter = stack.enter_context(
            tqdm(total=len(features), unit="row", disable=None if bar else True)
        )
        each: Iterator[int] = map(one, parts)
        if streams > 1:
            # The number of threads belongs to the thread that sets it, but a new thread takes over
            # the last one that anybody set.
            stack.callback(torch.set_num_threads, threads)
            pool = ThreadPoolExecutor(
                streams, "stream", torch.set_num_threads, (max(1, threads // streams),)
            )
            stack.callback(pool.shutdown, cancel_futures=True)
            each = pool.map(one, parts)
        for rows in each:
            meter.update(rows)


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
