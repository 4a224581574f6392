"""Commands that tests start, watch and kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent.parent
LAUNCH = str(HERE / "scripts" / "launch.py")


@dataclass(frozen=True)
class Done:
    """How a command ended: status (as ``subprocess``), output and errors together, seconds."""

    status: int
    text: str
    seconds: float


class Command:
    """A command under way on a host; while it runs, :meth:`end` ends it with all it started."""

    def __init__(self, words: list[str], env: Mapping[str, str]) -> None:
        # Not a pipe: what is left over would keep that open.
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            words,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(self, seconds: float) -> Done:
        """Its end; after ``seconds`` that is a failure of the test."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"still running after {seconds} s:\n{self.text()}") from None
        return Done(status, self.text(), time.monotonic() - self.began)

    def text(self) -> str:
        """What it has said so far."""
        self._output.seek(0)
        return self._output.read()

    def end(self) -> None:
        if self.process.poll() is None:  # later its number may be that of somebody else's group
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def environment(**more: str) -> dict[str, str]:
    """This process's variables, one thread, where ``tests.helpers`` is found, and ``more``."""
    # mpirun refuses to run as root, as these tests must, unless told twice.
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **root, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def helper(name: str, *words: object) -> list[str]:
    """The command line of a program in ``tests/helpers``; it needs :func:`environment`.

    Args:
        name: of the file, without ``.py``.
        words: its arguments.
    """
    return [sys.executable, "-m", f"tests.helpers.{name}", *map(str, words)]


def wait_for(what: Callable[[], bool], seconds: float = 40, command: Command | None = None) -> None:
    """Wait until something is so; if it never is, the test fails with the command's output."""
    end = time.monotonic() + seconds
    while not what():
        over = time.monotonic() > end or (command and command.process.poll() is not None)
        assert not over, f"waited in vain\n{command.text() if command else ''}"
        time.sleep(0.02)


def progress(output: Path, rank: int) -> tuple[int, int, int]:
    """(step, process id, attempt) that a rank of ``programs/ranks.py`` wrote last; step -1: none.

    The program writes them beside its ``--output``.
    """
    with contextlib.suppress(OSError, ValueError):
        found: list[Any] = json.loads(Path(f"{output}.{rank}").read_text())
        return int(found[0]), int(found[1]), int(found[2])
    return -1, 0, 0
