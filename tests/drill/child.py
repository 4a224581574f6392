"""A command in a process of its own: forked, so that what it imports is imported once."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plainbert.cli.run import run

SECONDS = 60  # for a command; a trial has a few
_MESSAGE = re.compile(r"^(?:.*: )?error: ", re.MULTILINE)


Around = Callable[[Callable[[], object]], object]  # gets the work, and does it


def plainly(work: Callable[[], object]) -> object:
    return work()


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        status: exit status; negative: the signal that killed it; None: it hung.
        text: what it printed.
    """

    status: int | None
    text: str

    @property
    def is_killed(self) -> bool:
        return self.status == -signal.SIGKILL

    @property
    def is_refused(self) -> bool:
        """Whether it ended with a clear error: status 2, a message and no traceback."""
        return self.status == 2 and _MESSAGE.search(self.text) is not None and self.is_quiet

    @property
    def is_done(self) -> bool:
        return self.status == 0 and self.is_quiet

    @property
    def is_quiet(self) -> bool:
        """Whether nothing of our own insides was printed."""
        return "Traceback (most recent call last)" not in self.text


class Child:
    """A process that calls a script's ``main`` as the script does.

    Args:
        main: of the script.
        argv: the words of its command line.
        log: file that takes what it prints.
        around: what is called with the work, and calls it.
    """

    def __init__(
        self,
        main: Callable[[list[str]], object],
        argv: list[str],
        log: Path,
        around: Around = plainly,
    ) -> None:
        self.log = log
        sys.stdout.flush()
        sys.stderr.flush()
        self.number = os.fork()
        if self.number == 0:
            _work(main, argv, log, around)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(self.number, self.number)

    def kill(self) -> None:
        """Kill it and the processes that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.number, signal.SIGKILL)

    def go_on(self) -> None:
        """After it has stopped itself."""
        os.kill(self.number, signal.SIGCONT)

    def stopped(self) -> bool:
        """Wait until it has stopped itself; False when it has ended before, which :meth:`end` says.

        It is not reaped.
        """
        flags = os.WEXITED | os.WSTOPPED | os.WNOWAIT
        limit = time.monotonic() + SECONDS
        while time.monotonic() < limit:
            news = os.waitid(os.P_PID, self.number, flags | os.WNOHANG)
            if news is not None:
                return news.si_code == os.CLD_STOPPED
            time.sleep(0.002)
        return False

    def has_ended(self, seconds: float) -> bool:
        """Whether it ends within some seconds; it is not reaped."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if os.waitid(os.P_PID, self.number, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return True
            time.sleep(0.002)
        return False

    def end(self, seconds: float = SECONDS) -> Ended:
        """Wait for its end; it is killed when that takes too long."""
        limit = time.monotonic() + seconds
        while True:
            done, status = os.waitpid(self.number, os.WNOHANG)
            if done:
                code: int | None = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > limit:
                self.kill()
                os.waitpid(self.number, 0)
                code = None
                break
            time.sleep(0.002)
        self.kill()  # what it may have started
        return Ended(code, self.log.read_text("utf-8", "replace") if self.log.exists() else "")


def import_once(child: Callable[[Around], Child]) -> Ended:
    """Run a command, and import here what it imported.

    Args:
        child: starts it, with what goes around its work.
    """
    reads, writes = os.pipe()

    def around(work: Callable[[], object]) -> object:
        try:
            return work()
        finally:
            with os.fdopen(writes, "w") as file:
                file.write("\n".join(sys.modules))

    started = child(around)
    os.close(writes)
    with os.fdopen(reads) as file:
        names = file.read().split("\n")
    ended = started.end()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if name.split(".")[0] in ("torch", "numpy", "plainbert", "safetensors", "tokenizers"):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    return ended


def _work(
    main: Callable[[list[str]], object],
    argv: list[str],
    log: Path,
    around: Around,
) -> None:
    """The life of the process."""
    status = 1
    try:
        os.setpgid(0, 0)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        # Those of pytest go elsewhere.
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8", write_through=True)
            for number in (1, 2)
        )
        sys.argv = [f"{getattr(main, '__module__', 'main').split('.')[-1]}.py", *argv]
        around(lambda: run(lambda: main(argv)))
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
