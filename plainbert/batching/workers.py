"""Pieces of work in order, in this process or in several."""

from __future__ import annotations

import logging
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    make: Callable[[Any], Callable[[Item], Result]],
    settings: Any,
    items: Sequence[Item],
    num_workers: int = 0,
) -> Iterator[Result]:
    """Yield ``make(settings)(item)`` for every item, in order.

    Args:
        make: a class, or a function of a module: called once in each process.
        settings: what it is called with.
        items: the pieces of work.
        num_workers: processes; 0 works in this one.
    """
    done = 0
    if num_workers > 0:
        # Spawned, not forked: the libraries of this process may hold locks and threads.
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(num_workers, context, _start, (make, settings)) as pool:
                waiting: deque[Future[Result]] = deque()
                for item in items:
                    waiting.append(pool.submit(_work, item))
                    if len(waiting) >= 2 * num_workers:  # few under way: memory stays bounded
                        yield waiting.popleft().result()
                        done += 1
                while waiting:
                    yield waiting.popleft().result()
                    done += 1
        except BrokenProcessPool:
            # Code typed into `python -`, for one, cannot be imported by a new process.
            log.warning("worker processes could not run; tokenising in this process.")
    if done < len(items):
        work = make(settings)
        for item in items[done:]:
            yield work(item)


_worker: list[Any] = []  # of a worker process: what it calls


def _start(make: Callable[[Any], Any], settings: Any) -> None:
    _worker[:] = [make(settings)]


def _work(item: Any) -> Any:
    return _worker[0](item)
