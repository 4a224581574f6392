"""How far long work is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between two lines


class Progress:
    """Counts what is done; use it as a context.

    Args:
        what: the work, as in "tokenise".
        unit: what is counted, as in "rows".
        total: how many there will be; None where that is not known.
        scale: show thousands and millions as k and M.
        bar: False silences everything.
    """

    def __init__(
        self, what: str, unit: str, total: int | None, scale: bool = False, bar: bool = True
    ) -> None:
        self.what, self.unit, self.total = what, unit, total
        on_terminal = bar and sys.stderr.isatty()
        self._bar = tqdm(
            desc=what,
            unit=unit,
            total=total,
            unit_scale=scale,
            disable=not on_terminal,
            leave=False,
        )
        self._lines = bar and not on_terminal
        self._done = 0
        self._start = self._last = time.monotonic()

    def update(self, done: int) -> None:
        """Count some more."""
        self._bar.update(done)
        self._done += done
        now = time.monotonic()
        if self._lines and now - self._last >= EVERY:
            self._last = now
            of = f" of {self.total:,}" if self.total else ""
            speed = self._done / (now - self._start)
            log.info(
                "%s: %s%s %s, %s/s", self.what, f"{self._done:,}", of, self.unit, f"{speed:,.0f}"
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
