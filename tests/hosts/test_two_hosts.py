"""Two hosts, by torchrun and by mpirun, through the launcher and by bare commands: the same result
as one process; lost ranks and cut networks end the job in time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.hosts import SHELL, Hosts
from tests.helpers.processes import HERE, LAUNCH, Command, Done, progress, wait_for

pytestmark = pytest.mark.hosts

PROGRAM = str(HERE / "tests" / "distributed" / "programs" / "ranks.py")
PYTHON = sys.executable
TIMEOUT_S = 8.0  # of every exchange
LONG = ["--steps", "2000", "--sleep", "0.05", "--timeout", f"{TIMEOUT_S}"]
WAYS = ("launch torchrun", "launch mpirun", "bare torchrun", "bare mpirun")


class Job:
    """One run over both hosts: one command, or one per host."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands

    def wait(self, seconds: float) -> list[Done]:
        """How each command ended."""
        end = time.monotonic() + seconds
        return [command.wait(max(1.0, end - time.monotonic())) for command in self.commands]

    def text(self) -> str:
        return "\n".join(command.text() for command in self.commands)


def start(hosts: Hosts, way: str, flags: Sequence[str], ranks: int = 1, restarts: int = 0) -> Job:
    """The training program with so many ranks on each host."""
    first, second = hosts.names
    kind, launcher = way.split()
    if kind == "launch":
        line = [PYTHON, LAUNCH, "--hosts", f"{first}:{ranks},{second}:{ranks}"]
        line += ["--with", launcher, "--timeout", "3", "--remote_shell", str(SHELL)]
        line += ["--max_restarts", str(restarts)]
        return Job([hosts.start(0, *line, PROGRAM, *flags)])
    if launcher == "mpirun":
        # The usual command line and no more: no keep-alive, no address.
        line = ["timeout", "-k", "5", "60", "mpirun", "-np", str(2 * ranks)]
        line += ["-H", f"{first}:{ranks},{second}:{ranks}", "--mca", "plm_rsh_agent", str(SHELL)]
        return Job([hosts.start(0, *line, PYTHON, PROGRAM, *flags)])
    line = ["timeout", "-k", "5", "90", PYTHON, "-m", "torch.distributed.run", "--nnodes=2"]
    line += [f"--nproc-per-node={ranks}", f"--master-addr={first}", "--master-port=29519"]
    return Job([hosts.start(i, *line, f"--node-rank={i}", PROGRAM, *flags) for i in (0, 1)])


def running(job: Job, output: Path, ranks: int = 2) -> list[int]:
    """Process ids, once every rank has made some steps."""
    wait_for(
        lambda: all(progress(output, rank)[0] > 2 for rank in range(ranks)),
        60,
        job.commands[0],
    )
    return [progress(output, rank)[1] for rank in range(ranks)]


def weights(output: Path) -> list[float]:
    values: list[float] = json.loads(output.read_text())["weights"]
    return values


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The weights that one process reaches in 20 steps."""
    from tests.helpers.processes import environment

    output = tmp_path_factory.mktemp("alone") / "out"
    done = Command([PYTHON, PROGRAM, "--output", str(output)], environment()).wait(60)
    assert done.status == 0, done.text
    return weights(output)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_two_hosts_end_with_the_weights_of_one_process(
    way: str, ranks: int, hosts: Hosts, alone: list[float], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = start(hosts, way, ["--output", str(output)], ranks).wait(90)

    assert [result.status for result in done] == [0] * len(done), done
    report = json.loads(output.read_text())
    assert [rank["host"] for rank in report["ranks"]] == sorted(hosts.names * ranks)
    assert {rank["launcher"] for rank in report["ranks"]} == {way.split()[1]}
    assert max(abs(a - b) for a, b in zip(report["weights"], alone, strict=True)) < 1e-12


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_kill_9_ends_the_job_and_names_the_rank(
    way: str, who: int, hosts: Hosts, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    job = start(hosts, way, [*LONG, "--output", str(output)])
    pids = running(job, output)
    began = time.monotonic()
    os.kill(pids[who], signal.SIGKILL)
    done = job.wait(30)

    assert time.monotonic() - began < TIMEOUT_S + 2  # seconds; torchrun's agents take their time
    assert all(result.status != 0 for result in done)
    assert f"error: rank {who} of 2 on {hosts.names[who]} is gone: it was killed" in job.text()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 5)


@pytest.mark.parametrize("way", WAYS)
def test_an_error_on_one_host_is_told_on_the_other(way: str, hosts: Hosts, tmp_path: Path) -> None:
    flags = [*LONG, "--fail", "error", "--who", "1", "--output", str(tmp_path / "out")]
    job = start(hosts, way, flags)
    job.wait(60)

    text = job.text()
    assert "error: corpus.txt:7: a token is missing" in text
    if way != "bare mpirun" and way != "launch mpirun":  # mpirun ends the others at once
        assert f"rank 1 of 2 on {hosts.names[1]} ended with an error: corpus.txt:7" in text


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_network_ends_the_job_at_the_timeout(way: str, hosts: Hosts, tmp_path: Path) -> None:
    output = tmp_path / "out"
    job = start(hosts, way, [*LONG, "--output", str(output)])
    pids = running(job, output)
    hosts.cut()
    began = time.monotonic()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 30)
    ranks_took = time.monotonic() - began
    # A bare mpirun hangs and then crashes; its ranks are gone, and `timeout -k` ends it.
    done = job.wait(75)

    assert TIMEOUT_S - 2 < ranks_took < TIMEOUT_S + 8
    assert all(result.status != 0 for result in done)
    if way != "bare mpirun":
        assert time.monotonic() - began < TIMEOUT_S + 20
        assert hosts.pids(0) == []
    assert "no word from rank 1 of 2" in job.text()
    assert hosts.names[1] in job.text()


def test_mpirun_is_ended_when_its_ranks_notice_a_cut_first(hosts: Hosts, tmp_path: Path) -> None:
    """Its keep-alive takes 9 s at least, and is given up once it has told a host to end."""
    output = tmp_path / "out"
    job = start(hosts, "launch mpirun", [*LONG, "--timeout", "3", "--output", str(output)], ranks=2)
    running(job, output, ranks=4)
    hosts.cut()
    began = time.monotonic()
    done = job.wait(40)

    assert time.monotonic() - began < 3 + 20
    assert done[0].status == 1, done[0].text
    assert "no word from rank" in job.text()
    assert "ending what still runs" in job.text()
    assert "Signal" not in job.text()  # mpirun's dump of a crash would hide the message
    assert hosts.pids(0) == []
    hosts.mend()
    wait_for(lambda: hosts.pids(1) == [], 60)  # mpirun's daemon there ends when it gets an answer


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_of_6_seconds_is_ridden_through(
    way: str, hosts: Hosts, alone: list[float], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    flags = ["--sleep", "0.4", "--timeout", "20", "--output", str(output)]
    job = start(hosts, way, flags)
    running(job, output)
    before = progress(output, 0)[0]
    hosts.cut()
    time.sleep(6)
    assert progress(output, 0)[0] <= before + 2  # it did wait
    hosts.mend()
    done = job.wait(60)

    assert [result.status for result in done] == [0] * len(done), job.text()
    assert max(abs(a - b) for a, b in zip(weights(output), alone, strict=True)) < 1e-12


@pytest.mark.parametrize("way", ["launch torchrun", "launch mpirun"])
def test_a_killed_rank_restarts_the_job(
    way: str, hosts: Hosts, alone: list[float], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    flags = ["--fail", "kill", "--who", "1", "--output", str(output), "--timeout", f"{TIMEOUT_S}"]
    job = start(hosts, way, flags, restarts=2)
    done = job.wait(90)

    assert done[0].status == 0, done[0].text
    assert max(abs(a - b) for a, b in zip(weights(output), alone, strict=True)) < 1e-12
    assert progress(output, 1)[2] == 1


def test_all_ranks_on_another_host_than_mpirun(hosts: Hosts, tmp_path: Path) -> None:
    line = ["mpirun", "-np", "2", "-H", f"{hosts.names[1]}:2", "--mca", "plm_rsh_agent", str(SHELL)]
    done = hosts.run(0, *line, PYTHON, PROGRAM, "--output", str(tmp_path / "out"))

    assert done.status == 0, done.text


def test_rank_0_on_another_host_than_mpirun_names_the_flag(hosts: Hosts, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(f"{hosts.names[1]} slots=1\n{hosts.names[0]} slots=1\n")
    line = ["mpirun", "-np", "2", "--hostfile", str(file), "--mca", "plm_rsh_agent", str(SHELL)]
    line += ["--map-by", "seq"]
    done = hosts.run(0, *line, PYTHON, PROGRAM, "--timeout", "5")

    assert done.status == 2, done.text
    assert "-x MASTER_ADDR=HOST" in done.text
    named = [*line, "-x", f"MASTER_ADDR={hosts.names[1]}"]
    done = hosts.run(0, *named, PYTHON, PROGRAM, "--timeout", "5")
    assert done.status == 0, done.text


def test_a_host_that_calls_itself_127_0_1_1(hosts: Hosts, tmp_path: Path) -> None:
    """As a fresh Debian does: gloo must not offer that address to the other host."""
    for name, other, address in (
        (hosts.names[0], hosts.names[1], "10.77.0.2"),
        (hosts.names[1], hosts.names[0], "10.77.0.1"),
    ):
        lines = f"127.0.0.1 localhost\n127.0.1.1 {name}\n{address} {other}\n"
        Path(f"/etc/netns/{name}/hosts").write_text(lines)
    done = start(hosts, "launch torchrun", ["--timeout", "5", "--output", str(tmp_path / "out")])

    assert done.wait(60)[0].status == 0, done.text()
