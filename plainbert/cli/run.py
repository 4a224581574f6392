"""How a script ends: ``if __name__ == "__main__": run(main)``.

Mistakes a user can make end as one short message on standard error and exit status 2; our own bugs
keep their traceback. Free of torch.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from plainbert import files
from plainbert.cli.program import resumed
from plainbert.errors import PlainBertError, Stopped
from plainbert.visible import near, visible

BROKEN_PIPE = 141  # what a shell reports for a program whose reader went away

_log = logging.getLogger("plainbert")
_folder: Path | None = None  # of the run in progress, for the message after Ctrl-C
_flags: frozenset[str] = frozenset()  # of the command in progress, for advice


def note_folder(folder: Path | None) -> None:
    """Remember the run folder, so that an interruption can say what it holds."""
    global _folder
    _folder = folder


def note_flags(spellings: Iterable[str]) -> None:
    """Remember the flags of the command, so that advice names none that it lacks."""
    global _flags
    _flags = frozenset(spellings)


def run(main: Callable[[], Any], status: Callable[[Any], int] | None = None) -> NoReturn:
    """Call a script's ``main`` and exit: 0, 2 for a mistake, 141 for a broken pipe.

    Or with 130 for Ctrl-C, 143 for SIGTERM.

    Args:
        main: does the work and returns its results.
        status: what to exit with instead of 0, from those results.

    Raises:
        SystemExit: always, except for errors that are bugs: those pass through.
    """
    try:
        result = main()
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        if not isinstance(stop, Stopped) or stop.speaks:
            how = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
            print(visible(f"\n{how}. {kept()}".rstrip()), file=sys.stderr)
        raise SystemExit(128 + number) from None
    except BrokenPipeError:
        if not _reader_is_gone():  # some other pipe broke, for example to a worker process
            raise
        # The interpreter flushes standard output once more when it ends: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN_PIPE) from None
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        _log.debug("the error in full:", exc_info=True)
        print(visible(f"error: {message}"), file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0 if status is None else status(result))


def explain(error: BaseException) -> str | None:
    """The message for an error that the user or the machine caused; None for a bug.

    A full disk and exhausted memory are recognised wherever they come from: safetensors and torch
    raise their own classes and keep only the system's words.
    """
    chain = list(_chain(error))
    if (full := next((item for item in chain if _disk_full(item)), None)) is not None:
        name = f" ({full.filename})" if isinstance(full, OSError) and full.filename else ""
        return f"the disk is full{name}. Free some space, then start again. {kept()}".rstrip()
    if (large := next((item for item in chain if _too_large(item)), None)) is not None:
        name = f" ({large.filename})" if isinstance(large, OSError) and large.filename else ""
        return (
            f"a file would become larger than the disk, or a limit (ulimit -f), allows{name}. "
            f"Raise the limit or write to another disk. {kept()}"
        ).rstrip()
    if any(_out_of_memory(item) for item in chain):
        return f"out of memory. {_smaller()} {kept()}".rstrip()
    if isinstance(error, PlainBertError):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}."
    return None


def kept() -> str:
    """What the run folder holds, and how to go on; empty when there is no run."""
    if _folder is None:
        return ""
    last = _folder / "last"
    if last.exists():
        again = "the same command with --resume goes on from there."
        if not _is_rank():
            again = f"this goes on from there:\n{resumed()}"
        step = files.followed(last).resolve().name
        return f"{near(last)} ({step}) is complete; {again}"
    return (
        f"{near(_folder)} holds no checkpoint yet; the same command with --overwrite starts anew "
        "there."
    )


def _is_rank() -> bool:
    """Whether a launcher's command line started this process, and not what it finds as its own."""
    return any(name in os.environ for name in ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"))


def _smaller() -> str:
    """What makes the work fit into memory, by the flags of the command."""
    lower = [flag for flag in ("--batch_size", "--max_len", "--num_workers") if flag in _flags]
    if not lower:
        return "Close other programs, or take a machine that has more."
    batch = "--accumulate"
    keeps = f" ({batch} keeps the batch as large)" if {batch, lower[0]} <= _flags else ""
    return f"Lower {' or '.join([lower[0] + keeps, *lower[1:2]])}."


def _reader_is_gone() -> bool:
    """Whether nobody reads standard output any more."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)  # errors and hang-ups are reported unasked
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))


def _chain(error: BaseException) -> list[BaseException]:
    """An error, its cause, the cause of that, and so on."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def _disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(words in str(error) for words in ("No space left on device", "Disk quota exceeded"))


def _too_large(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return True
    return "File too large" in str(error)


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("can't allocate memory", "CUDA out of memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError | OSError) and any(word in str(error) for word in words)
