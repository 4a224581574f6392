"""A run that is told to end: the first SIGTERM or Ctrl-C lets it save a checkpoint before."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class StopSignals:
    """While a run trains, the first signal is noted; the next one ends it as ever. A context.

    Args:
        enabled: whether there is anything to save; else nothing is changed.
        speaks: whether this process says that it has heard.

    Attributes:
        number: of the signal that came; 0 where none did.
    """

    def __init__(self, enabled: bool, speaks: bool) -> None:
        self.number, self._speaks = 0, speaks
        # Python runs handlers in the main thread, and lets no other one set them.
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in NAMES if self._enabled else ():
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):  # as nohup and shells' background jobs have it
                self._before[number] = before
                signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()
        if self._speaks:
            text = (
                f"\n{NAMES[signal.Signals(number)]}: a checkpoint is saved after this step, then "
                "the run ends; once more ends it now\n"
            )
            with contextlib.suppress(OSError):  # the usual printing may be in the middle of a line
                os.write(2, text.encode("ascii", "replace"))

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
