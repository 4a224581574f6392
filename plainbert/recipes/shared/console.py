"""The project's log on standard error: what a command does and a caller in Python may leave.

Free of torch.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from plainbert.cli.log_lines import VisibleFormatter
from plainbert.visible import visible


class _Console(logging.Handler):
    """Writes to standard error, above a progress bar if one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


class LogFile(logging.FileHandler):
    """``log.txt``; a line that cannot be written (full disk) is lost without a word.

    What matters, a checkpoint, fails loudly by itself; a traceback per line would bury that.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:
        return


class _Shown:
    """A stream for eyes: what is printed to it is escaped, see :mod:`plainbert.visible`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, control characters escaped."""
        return self._stream.write(visible(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def printing_any_text() -> Iterator[None]:
    """In the block standard output takes every text: control characters stand escaped.

    So does what the output cannot hold.

    Half a character comes from texts that others cut, or from bytes of a command line that are no
    UTF-8; it must not end a command when all is done but the printing.
    """
    stream = sys.stdout
    before = getattr(stream, "errors", None)
    changed = stream if isinstance(stream, io.TextIOWrapper) and before is not None else None
    if changed is not None:
        changed.reconfigure(errors="backslashreplace")
    try:
        with contextlib.redirect_stdout(cast(TextIO, _Shown(stream))):
            yield
    finally:
        if changed is not None:
            changed.reconfigure(errors=before)


def log_to_console() -> None:
    """Show the log of what follows; warnings and progress go there, results to standard output."""
    _replace(_Console(), "%(message)s")
    show_details(False)


def show_details(verbose: bool) -> None:
    """Whether the console has what only ``log.txt`` has otherwise, of less use to most users."""
    for handler in logging.getLogger("plainbert").handlers:
        if isinstance(handler, _Console):
            handler.setLevel(logging.DEBUG if verbose else logging.INFO)


def end_console() -> None:
    """Leave what follows to the caller's own logging."""
    _remove(_Console)


def log_to_file(handler: LogFile) -> None:
    """Write the log of a run to its folder."""
    _replace(handler, "%(asctime)s %(levelname)s %(message)s")


def end_log_file() -> None:
    """Close the log of an earlier run in this process."""
    _remove(LogFile)


def _replace(handler: logging.Handler, form: str) -> None:
    _remove(type(handler))
    handler.setFormatter(VisibleFormatter(form))
    logging.getLogger("plainbert").addHandler(handler)


def _remove(kind: type[logging.Handler]) -> None:
    """Take the handlers of an earlier run in this process away."""
    log = logging.getLogger("plainbert")
    for handler in [handler for handler in log.handlers if isinstance(handler, kind)]:
        log.removeHandler(handler)
        with contextlib.suppress(OSError):  # a full disk: what is lost has been shown
            handler.close()
