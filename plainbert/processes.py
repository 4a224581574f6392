"""The same work in one process or in many, with results in order."""

from __future__ import annotations

import ast
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from plainbert.errors import PlainBertError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
State = TypeVar("State")

GUARD = (
    "A program that uses several processes keeps what it does under "
    "'if __name__ == \"__main__\":', as each of them imports it."
)


class WorkerError(PlainBertError, RuntimeError):
    """A worker process ended before its work was done."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerProcesses:
    """Processes that do one kind of work after another; use it as a context.

    Args:
        num_workers: processes; with 0 or 1 all work is done in this one.
        states: what calls of the work functions get, large or not: each process is sent them once.
    """

    def __init__(self, num_workers: int, *states: Any) -> None:
        self._states = states
        self._pool: ProcessPoolExecutor | None = None
        self._num_workers = num_workers
        if num_workers > 1 and getattr(multiprocessing.current_process(), "_inheriting", False):
            raise WorkerError(f"this is a worker process that has just begun. {GUARD}")
        if num_workers > 1 and (reason := _not_importable()):
            log.warning("%s Now its work is done in one process.", reason)
        elif num_workers > 1:
            # Spawned, not forked: the libraries of this process may hold locks and threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(num_workers, context, _start, (states,))

    def __enter__(self) -> WorkerProcesses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def in_order(
        self, work: Callable[[State, Item], Result], state: State, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield ``work(state, item)`` for every item, in order.

        Few items are under way at a time, so that memory stays bounded however many there are.

        Args:
            work: a function of a module.
            state: one of the ``states``.
            items: taken as results are fetched.

        Raises:
            WorkerError: a process was killed.
        """
        if self._pool is None:
            for item in items:
                yield work(state, item)
            return
        number = next(n for n, other in enumerate(self._states) if other is state)
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(_work, work, number, item))
                if len(waiting) > 2 * self._num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise WorkerError(
                "a worker process ended before its work was done; out of memory is the usual "
                f"reason: start fewer of them (num_workers). {GUARD}"
            ) from None


def _not_importable() -> str:
    """Why a new process could not import this program as it must; empty where it can."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path is None:
        return ""
    if not os.path.exists(path):  # what ``python -`` has read is gone
        return "this program was read from a pipe."
    return "" if _is_guarded(path) else f"{path}: {GUARD}"


def _is_guarded(path: str) -> bool:
    """Whether a program asks for its name: else all of it would run again in every worker."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):  # compiled, or packed into an archive
        return True
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return any(name.id == "__name__" for name in names)


_sent: tuple[Any, ...] = ()  # to this worker process


def _start(states: tuple[Any, ...]) -> None:
    global _sent
    _sent = states
    # Ctrl-C reaches the whole group of processes: the first one tells the user.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody tells a worker that waits for work when the first process was killed.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(work: Callable[[Any, Any], Any], number: int, item: Any) -> Any:
    return work(_sent[number], item)
