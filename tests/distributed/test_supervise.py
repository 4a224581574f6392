"""Commands that end together."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plainbert.distributed import supervise
from plainbert.distributed.supervise import Running
from tests.helpers.processes import wait_for

LONG = ["sleep", "60"]
# Ignores SIGTERM, and leaves a child with a process group of its own, as mpirun's remote shell has.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
left = subprocess.Popen(["sleep", "60"], process_group=0)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {left.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(float(sys.argv[2]))
sys.exit(3)
"""


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GRACE_S", 0.5)


def run(lines: list[list[str]], rank_failed: Callable[[], bool] = lambda: False) -> Running:
    return Running(lines, os.environ, rank_failed)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stubborn(file: Path, seconds: float) -> list[str]:
    return [sys.executable, "-c", STUBBORN, str(file), str(seconds)]


def pids(file: Path) -> list[int]:
    wait_for(file.exists)
    return [int(word) for word in file.read_text().split()]


def test_the_status_is_that_of_the_first_failure() -> None:
    start = time.monotonic()

    assert run([["true"], ["true"]]).wait() == 0
    assert run([LONG, ["sh", "-c", "exit 3"]]).wait() == 3
    assert run([LONG, ["sh", "-c", "kill -9 $$"]]).wait() == 137
    assert time.monotonic() - start < 10


def test_a_command_that_hides_the_failure_of_a_rank_is_ended(
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = time.monotonic()

    assert run([LONG], lambda: True).wait() == 1
    assert 0.5 < time.monotonic() - start < 10
    assert "ending what still runs" in capfd.readouterr().err


def test_a_command_that_ends_in_time_is_not_ended(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([["sleep", "0.1"]], lambda: True).wait() == 0
    assert "ending" not in capfd.readouterr().err


@pytest.mark.parametrize("kill_stuck", [False, True])
def test_nothing_is_left_behind(kill_stuck: bool, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    running = Running([stubborn(file, 60)], os.environ, file.exists, kill_stuck)

    assert running.wait() == 1
    assert not any(map(alive, pids(file)))


def test_what_a_failed_command_left_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "pids"

    assert run([stubborn(file, 0)]).wait() == 3
    assert not any(map(alive, pids(file)))


def test_ctrl_c_is_passed_on(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job's may ignore it
    running = run([LONG])
    os.kill(os.getpid(), signal.SIGINT)

    assert running.wait() == 130
    assert running.stopped_by == signal.SIGINT
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
