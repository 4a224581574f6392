"""How long a run takes, measured while it goes."""

from __future__ import annotations

import time
from collections.abc import Callable

ENOUGH_S = 3.0  # of steps that were measured, before the rest of the run is estimated ...
ENOUGH_STEPS = 5  # ... or so many of them
SLOW_STEPS = 1  # at the beginning: buffers are allocated, kernels chosen


class Pace:
    """Time per token in the steps so far, evaluations and checkpoints aside.

    Args:
        steps: that are to come.
        tokens: of a step, on average over the data; steps of short rows are quicker.
        clock: seconds.
    """

    def __init__(
        self, steps: int, tokens: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._left, self._tokens, self._clock = steps, tokens, clock
        self._steps = 0
        self._seconds = self._done = 0.0
        self.restart()

    def restart(self) -> None:
        """The step that follows begins now: what came before was no training."""
        self._since = self._clock()

    def count(self, tokens: int) -> bool:
        """Take note of a step.

        Args:
            tokens: of its rows.

        Returns:
            whether enough is measured, for the first time, to say how long the run takes.
        """
        before, now = self._measured(), self._clock()
        self._left -= 1
        self._steps += 1
        if self._steps > SLOW_STEPS:
            self._seconds += now - self._since
            self._done += tokens
        self._since = now
        return self._measured() and not before

    def left(self) -> float | None:
        """Seconds that the steps to come take; None where too little is measured."""
        if not self._measured():
            return None
        return max(0, self._left) * self._tokens * self._seconds / max(1.0, self._done)

    def _measured(self) -> bool:
        steps = self._steps - SLOW_STEPS
        return steps > 0 and (self._seconds >= ENOUGH_S or steps >= ENOUGH_STEPS)


def in_words(seconds: float) -> str:
    """A time as precise as an estimate is.

    Example:
        >>> in_words(3), in_words(44), in_words(700), in_words(7500)
        ('10 s', '50 s', '12 min', '2 h 5 min')
    """
    if seconds <= 90:
        return f"{max(1, -int(-seconds // 10)) * 10} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
