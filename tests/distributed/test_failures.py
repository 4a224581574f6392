"""A rank is lost in every way there is: the job ends within seconds and names it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plainbert.distributed import agent
from tests.distributed.test_group import PROGRAMS
from tests.helpers.processes import LAUNCH, Command, environment, progress, wait_for

RANKS = [str(PROGRAMS / "ranks.py")]
SIZE = 2  # processes of a job: each of them, and its launcher, imports torch
# Of two that MPI ends at once, the one that lives has no time to say whom it lost.
SIZES = {"spawn": SIZE, "torchrun": SIZE, "mpirun": 3}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
LAUNCHERS = {
    "spawn": [sys.executable, *RANKS, "--spawn", str(SIZE)],
    "torchrun": [*TORCHRUN, f"--nproc-per-node={SIZE}", *RANKS],
}
if shutil.which("mpirun"):  # without it the suite of two hosts, which installs it, runs these
    LAUNCHERS["mpirun"] = [
        "mpirun",
        "-np",
        str(SIZES["mpirun"]),
        "--oversubscribe",
        sys.executable,
        *RANKS,
    ]
OFTEN = {("spawn", 0), ("spawn", 1), ("torchrun", 1), ("mpirun", 0)}
SOON = 8.0  # seconds, with several processes on a busy machine


def start(launcher: str, output: Path, *flags: str, sleep: str = "0.05") -> Command:
    line = [*LAUNCHERS[launcher], "--output", str(output), "--steps", "2000", "--sleep", sleep]
    return Command([*line, "--timeout", "60", *flags], environment())


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("launcher", "who"),
    [
        # Torch's launcher and MPI's look at their processes in one way, whoever dies.
        pytest.param(*each, marks=[] if each in OFTEN else pytest.mark.volume(sample=0, whole=1))
        for each in itertools.product(LAUNCHERS, (0, 1))
    ],
)
def test_kill_9_ends_the_job_and_names_the_rank(launcher: str, who: int, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start(launcher, output)
    wait_for(
        lambda: all(progress(output, rank)[0] > 2 for rank in range(SIZES[launcher])), command=job
    )
    pids = [progress(output, rank)[1] for rank in range(SIZES[launcher])]
    began = time.monotonic()
    os.kill(pids[who], signal.SIGKILL)
    done = job.wait(30)

    assert time.monotonic() - began < SOON
    assert done.status in {"spawn": (137,), "torchrun": (1,), "mpirun": (137, 2)}[launcher]
    words = (
        f"rank {who} of {SIZES[launcher]} on " if launcher != "torchrun" else f"(local_rank: {who})"
    )
    assert words in done.text
    assert "signal 9" in done.text or "Signal 9" in done.text or "was killed" in done.text
    if launcher == "spawn":
        last = done.text.strip().split("\n")[-1]
        assert last.startswith(f"error: rank {who} of {SIZE} on ")
        assert "signal 9 (killed" in last
        assert "--resume" in last
        assert "Traceback" not in done.text
    wait_for(lambda: not any(map(alive, pids)), 5)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_an_error_of_one_rank_is_what_the_others_say(launcher: str, tmp_path: Path) -> None:
    done = start(launcher, tmp_path / "out", "--fail", "error", "--who", "1").wait(60)

    assert done.status == {"torchrun": 1}.get(launcher, 2), done.text
    assert "error: corpus.txt:7: a token is missing" in done.text
    if launcher == "spawn":
        last = done.text.strip().split("\n")[-1]
        assert last.startswith(f"error: rank 1 of {SIZE} on ")
        assert last.endswith(": corpus.txt:7: a token is missing")
        assert "Traceback" not in done.text
    if launcher == "torchrun":  # its table shows the report
        assert "rank      : 1" in done.text.split("Root Cause")[1]


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("exit", 2, "rank 1 of {size} on {host} ended before the others were done"),
        ("bug", 1, "rank 1 of {size} on {host}: ZeroDivisionError: a mistake of ours"),
        ("status", 3, "rank 1 of {size} on {host} ended with exit status 3"),
    ],
)
def test_other_ends(how: str, status: int, words: str, tmp_path: Path) -> None:
    done = start("spawn", tmp_path / "out", "--fail", how, "--who", "1").wait(60)

    assert done.status == status, done.text
    assert words.format(host=os.uname().nodename, size=SIZE) in done.text
    assert ("Traceback" in done.text) == (how == "bug")  # a bug keeps it


def test_an_exit_without_a_close_is_told(tmp_path: Path) -> None:
    line = [*LAUNCHERS["spawn"], "--no_with", "--fail", "exit", "--who", "1", "--timeout", "60"]
    done = Command(line, environment()).wait(60)

    assert done.status == 2, done.text
    assert f"rank 1 of {SIZE}" in done.text
    assert "ended before the others were done" in done.text


def test_a_frozen_rank_ends_the_job_at_the_timeout(tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start("spawn", output, "--timeout", "4")
    wait_for(lambda: all(progress(output, rank)[0] > 2 for rank in range(SIZE)), command=job)
    frozen = progress(output, SIZE - 1)[1]
    os.kill(frozen, signal.SIGSTOP)
    began = time.monotonic()
    wait_for(lambda: f"error: no word from rank {SIZE - 1} of {SIZE}" in job.text(), 15, job)
    assert 3 < time.monotonic() - began < 4 + SOON
    os.kill(frozen, signal.SIGCONT)  # or the launcher gives it half a minute
    done = job.wait(30)

    assert done.status != 0
    assert "the process is frozen" in done.text


def test_a_rank_that_does_not_come_is_named_at_the_timeout(tmp_path: Path) -> None:
    done = start("spawn", tmp_path / "out", "--fail", "hang", "--who", "1", "--timeout", "4").wait(
        60
    )

    assert done.status == 2, done.text
    assert f"rank 0 of {SIZE}" in done.text
    assert "waited 4 s for the others in exchange" in done.text
    assert f"rank 1 of {SIZE}" in done.text.split("all of them are running.")[1].split("--dist")[0]


def test_a_rank_stuck_outside_exchanges_ends_too(tmp_path: Path) -> None:
    """Nothing tells it but the watch: its launcher is told to end and is not looking."""
    output = tmp_path / "out"
    both = 'trap \'\' TERM; RANK=0 LOCAL_RANK=0 "$@" & RANK=1 LOCAL_RANK=1 "$@"; wait'
    line = ["sh", "-c", both, "sh", sys.executable, *RANKS, "--output", str(output)]
    line += ["--fail", "hang", "--who", "1", "--steps", "2000", "--sleep", "0.05"]
    env = environment(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="23457")
    job = Command(line, env)
    wait_for(lambda: progress(output, 0)[0] >= 4 and progress(output, 1)[0] >= 4, command=job)
    time.sleep(0.3)
    began = time.monotonic()
    os.kill(progress(output, 0)[1], signal.SIGKILL)
    done = job.wait(30)

    assert 4 < time.monotonic() - began < 5 + SOON
    assert "error: rank 0 of 2 on" in done.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_the_ranks(number: signal.Signals, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start("spawn", output)
    wait_for(lambda: all(progress(output, rank)[0] > 2 for rank in range(SIZE)), command=job)
    pids = [progress(output, rank)[1] for rank in range(SIZE)]
    job.process.send_signal(number)
    done = job.wait(20)

    assert done.status == 128 + number, done.text
    assert "Traceback" not in done.text
    assert not any(map(alive, pids))


def test_ranks_do_not_outlive_their_launcher(tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start("spawn", output)
    wait_for(lambda: all(progress(output, rank)[0] > 2 for rank in range(SIZE)), command=job)
    pids = [progress(output, rank)[1] for rank in range(SIZE)]
    job.process.kill()
    job.process.wait()
    wait_for(lambda: not any(map(alive, pids)), 15)

    assert "the launcher that started rank" in job.text()


@pytest.mark.parametrize("launcher", ["spawn", "torchrun"])
def test_restarts(launcher: str, tmp_path: Path) -> None:
    """A bare torchrun too, without the variable that makes its store private."""
    output = tmp_path / "out"
    line = {
        "spawn": [sys.executable, LAUNCH, "--ranks", "2", "--max_restarts", "2"],
        "torchrun": [*TORCHRUN, "--nproc-per-node=2", "--max-restarts=2"],
    }[launcher]
    flags = ["--output", str(output), "--fail", "kill", "--who", "1"]
    done = Command([*line, *RANKS, *flags], environment()).wait(90)

    assert done.status == 0, done.text
    assert [progress(output, rank)[2] for rank in range(2)] == [1, 1]


def failed(exitcode: int, report: str = "") -> Any:
    """What torch notes down about a rank."""
    file, data = ("reply.json", {"message": {"message": report}}) if report else ("<N/A>", {})
    return SimpleNamespace(exitcode=exitcode, timestamp=0, error_file=file, error_file_data=data)


@pytest.mark.parametrize(
    ("failures", "status", "words"),
    [
        ({0: failed(2), 1: failed(2, "a token is missing")}, 2, "rank 1 of 3 .*a token is missing"),
        # The launcher ended rank 1 before it could end by itself: rank 0 was quicker.
        ({0: failed(2), 1: failed(-15, "a token is missing")}, 2, "rank 1 of 3 .*a token is miss"),
        ({0: failed(2), 1: failed(-9)}, 137, "rank 1 of 3 .*signal 9"),
        ({0: failed(-15), 2: failed(-15)}, 143, "rank 0 of 3 .*signal 15"),
    ],
)
def test_who_is_to_blame(failures: dict[int, Any], status: int, words: str) -> None:
    assert agent.summary(failures, 3, "")[0] == status
    assert re.search(words, agent.summary(failures, 3, "")[1])
