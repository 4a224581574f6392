"""Work in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable

_NAME = "plainbert checkpoint"


def is_busy() -> bool:
    """Whether such work is under way in this process."""
    return any(thread.name == _NAME for thread in threading.enumerate())


class Background:
    """One piece of work at a time in a thread of its own."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin; the work before it must have been waited for."""
        assert self._thread is None, "wait() comes first"

        def run() -> None:
            try:
                work()
            except BaseException as error:  # handed on by wait()
                self._error = error

        # A daemon: when the run fails for another reason, nobody waits for this.
        self._thread = threading.Thread(target=run, name=_NAME, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the work, if there is any; raises what it raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error
