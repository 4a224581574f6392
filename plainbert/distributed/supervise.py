"""Commands that run at the same time on behalf of one launcher, and end together."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from plainbert.visible import visible

GRACE_S = 10.0  # for the rest to end after the first failure, and again after SIGTERM


class Running:
    """The commands, from their start on. Ctrl-C and SIGTERM are passed on to them.

    Args:
        lines: the words of each command.
        env: their variables.
        rank_failed: whether a rank has failed that a command still hides; asked often.
        kill_stuck: a command that does not end after a failure gets no SIGTERM before SIGKILL.
    """

    def __init__(
        self,
        lines: Sequence[Sequence[str]],
        env: Mapping[str, str],
        rank_failed: Callable[[], bool] = lambda: False,
        kill_stuck: bool = False,
    ) -> None:
        self.stopped_by = 0  # the signal that ended this process's work
        self._rank_failed = rank_failed
        self._kill_stuck = kill_stuck
        self._children: list[subprocess.Popen[bytes]] = []
        self._handlers = {
            number: signal.signal(number, self._pass_on)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        for words in lines:
            # In a session of its own, a child gets Ctrl-C once: from here.
            self._children.append(
                subprocess.Popen(list(words), env=dict(env), start_new_session=True)
            )

    def wait(self) -> int:
        """Wait until all have ended: after the first failure the others get some seconds.

        Returns:
            exit status of the first command that failed, or 128 + the signal that ended it or
            stopped this process; 0 when none failed.
        """
        status, deadline = 0, math.inf
        try:
            while self._alive():
                status = status or self._first_failure()
                if deadline == math.inf and (status or self._rank_failed()):
                    deadline = time.monotonic() + GRACE_S
                if time.monotonic() > deadline:
                    text = f"ending what still runs {GRACE_S:.0f} s after a failure"
                    print(visible(text), file=sys.stderr)
                    if self._kill_stuck:
                        self._signal(signal.SIGKILL)
                    self._end()
                    status = status or 1
                time.sleep(0.05)
            status = status or self._first_failure()
            if status or self.stopped_by:
                self._end()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        if self.stopped_by:
            return 128 + self.stopped_by
        return status if status >= 0 else 128 - status

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        return [child for child in self._children if child.poll() is None]

    def _first_failure(self) -> int:
        return next((child.returncode for child in self._children if child.returncode), 0)

    def _end(self) -> None:
        """End the commands, and the ranks and remote shells that they left behind."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            for pid in self._members():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            end = time.monotonic() + GRACE_S
            while time.monotonic() < end:
                if not self._alive() and not self._members():
                    return
                time.sleep(0.05)

    def _members(self) -> list[int]:
        """Processes in the sessions of the commands; none where /proc does not tell."""
        sessions = {child.pid for child in self._children}
        members = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
                if int(session) in sessions and state != "Z":
                    members.append(int(path.parent.name))
        return members

    def _signal(self, number: int) -> None:
        for child in self._alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.stopped_by = number
        self._signal(number)
