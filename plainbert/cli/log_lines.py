"""Lines of a log that a terminal can show. Free of torch."""

from __future__ import annotations

import logging

from plainbert.visible import visible


class VisibleFormatter(logging.Formatter):
    """Lines of a log, control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))
