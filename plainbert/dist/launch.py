"""The commands that start a script on one host or several, with what a bare command lacks.

- Without keep-alive options mpirun does not notice a cut network and hangs.
- Without TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 (set by ``plainbert.dist.agent``) ranks that torchrun
  starts again may look for ranks that are gone.
- An isolated launcher may ignore SIGTERM: ``timeout -k`` kills what is left.
- Open MPI 5 does not tell where rank 0 runs: MASTER_ADDR.
- mpirun binds each rank to one core or socket, which starves its threads: ``--bind-to none``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from plainbert.dist.world import FIRST_PORT, LAUNCH, PORTS, RESTARTS
from plainbert.errors import UsageError

KEEP_ALIVE = {"time": 5, "intvl": 3, "probes": 3}  # a cut line is noticed after about 14 s
KILL_AFTER_S = 30
OTHERS_S = 60.0  # for the other hosts to end after one did
FORWARDED = ("PYTHONPATH", "OMP_NUM_THREADS", "MASTER_PORT", "TORCH_CPP_LOG_LEVEL", RESTARTS)
LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Plan:
    """What to start where.

    Attributes:
        command: the script and its flags.
        hosts: (name, ranks) pairs, rank 0's host first; one pair for this host alone.
        launcher: mpirun or torchrun.
        timeout_min: minutes after which everything is ended; None: no limit.
        max_restarts: how often to start again after a failure.
        port: of rank 0's store; one that follows from this process when None.
        remote_shell: runs a command on another host: REMOTE_SHELL HOST COMMAND.
        options: more options for the launcher.
        node: start only the ranks of this host of the list (torchrun without a remote shell).
    """

    command: Sequence[str]
    hosts: Sequence[tuple[str, int]]
    launcher: str = "torchrun"
    timeout_min: float | None = None
    max_restarts: int = 0
    port: int | None = None
    remote_shell: str = ""
    options: Sequence[str] = ()
    node: int | None = None
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def ranks(self) -> int:
        """Ranks on all hosts."""
        return sum(count for _, count in self.hosts)

    def limited(self, words: Sequence[str]) -> list[str]:
        """A command that ends, even if it ignores being told to."""
        if self.timeout_min is None:
            return list(words)
        return ["timeout", "-k", str(KILL_AFTER_S), f"{self.timeout_min:g}m", *words]


def read_hosts(text: str) -> list[tuple[str, int]]:
    """``h0:2,h1:2`` -> [("h0", 2), ("h1", 2)]; a host without a number has one rank.

    Raises:
        UsageError: a host has no name or no ranks, or is named twice.
    """
    hosts = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([\w.-]+)(?::(\d+))?\s*", part)
        if found is None or found[2] == "0" * len(found[2] or "x"):
            raise UsageError(f"--hosts {text}: write HOST:RANKS,HOST:RANKS, such as h0:2,h1:2.")
        hosts.append((found[1], int(found[2] or 1)))
    if len({name for name, _ in hosts}) < len(hosts):
        raise UsageError(f"--hosts {text} names a host twice: give it all its ranks at once.")
    return hosts


def commands(plan: Plan) -> list[list[str]]:
    """The command lines to run at the same time: one for mpirun, one per host for torchrun."""
    return [_mpirun(plan)] if plan.launcher == "mpirun" else _torchrun(plan)


def _mpirun(plan: Plan, version: int | None = None) -> list[str]:
    version = open_mpi_version() if version is None else version
    words = ["mpirun", "-np", str(plan.ranks), "--bind-to", "none", "--oversubscribe"]
    if len(plan.hosts) > 1 or plan.hosts[0][0] not in LOCAL:
        words += ["-H", ",".join(f"{name}:{count}" for name, count in plan.hosts)]
        words += ["-x", f"MASTER_ADDR={plan.hosts[0][0]}"]
    if os.geteuid() == 0:  # containers; mpirun refuses otherwise
        words.append("--allow-run-as-root")
    kind = "--mca" if version < 5 else "--prtemca"
    for name, value in KEEP_ALIVE.items():
        words += [kind, f"oob_tcp_keepalive_{name}", str(value)]
    if plan.remote_shell:
        agent = "plm_rsh_agent" if version < 5 else "plm_ssh_agent"
        words += [kind, agent, plan.remote_shell]
    if plan.port is not None:
        words += ["-x", f"MASTER_PORT={plan.port}"]
    if plan.max_restarts:
        words += ["-x", f"{LAUNCH}={socket.gethostname()}.{os.getpid()}"]
    if "TORCH_CPP_LOG_LEVEL" not in plan.env:  # warnings about missing reverse DNS
        words += ["-x", "TORCH_CPP_LOG_LEVEL=ERROR"]
    for name in FORWARDED:
        if name in plan.env and not (name == "MASTER_PORT" and plan.port is not None):
            words += ["-x", name]
    return plan.limited([*words, *plan.options, sys.executable, *plan.command])


def _torchrun(plan: Plan) -> list[list[str]]:
    agent = [sys.executable, "-m", "plainbert.dist.agent"]
    if len(plan.hosts) == 1 and plan.node is None:
        flags = ["--standalone", f"--nproc-per-node={plan.hosts[0][1]}"]
        flags.append(f"--max-restarts={plan.max_restarts}")
        place = plan.hosts[0][0]
        return [_there(plan, place, [*agent, *flags, *plan.options, *plan.command])]
    port = plan.port or FIRST_PORT + os.getpid() % PORTS
    first, found = plan.hosts[0][0], []
    for number, (name, count) in enumerate(plan.hosts):
        flags = [f"--nnodes={len(plan.hosts)}", f"--nproc-per-node={count}"]
        if plan.max_restarts:
            # Only this rendezvous lets the hosts agree on starting again.
            flags += [f"--max-restarts={plan.max_restarts}", "--rdzv-backend=c10d",
                      f"--rdzv-endpoint={first}:{port}", f"--rdzv-id=plainbert-{port}",
                      f"--local-addr={name}"]  # fmt: skip
        else:
            flags += [f"--node-rank={number}", f"--master-addr={first}", f"--master-port={port}"]
        if plan.node in (None, number):
            words = [*agent, *flags, *plan.options, *plan.command]
            found.append(_there(plan, name, words) if plan.node is None else plan.limited(words))
    return found


def _there(plan: Plan, host: str, words: Sequence[str]) -> list[str]:
    """The command as it is for this host, through the remote shell for another one."""
    if host in LOCAL or (host == socket.gethostname() and not plan.remote_shell):
        return plan.limited(words)
    given = [f"{name}={plan.env[name]}" for name in FORWARDED if name in plan.env]
    inner = shlex.join(["env", *given, *plan.limited(words)])
    shell = shlex.split(plan.remote_shell or "ssh -o BatchMode=yes")
    return [*shell, host, f"cd {shlex.quote(os.getcwd())} && exec {inner}"]


def open_mpi_version() -> int:
    """Main version of the mpirun on the path.

    Raises:
        UsageError: there is none, or it is not Open MPI's.
    """
    try:
        done = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise UsageError(
            "there is no mpirun here. Install Open MPI (Debian, Ubuntu: apt-get install "
            "openmpi-bin), or use --with torchrun, which needs nothing."
        ) from error
    found = re.search(r"Open MPI\) (\d+)\.", done.stdout)
    if found is None:
        raise UsageError(
            "the mpirun on the path is not Open MPI's. Start the script with it directly, or use "
            "--with torchrun."
        )
    return int(found[1])


def run(plan: Plan) -> int:
    """Start, wait, start again if the plan says so; Ctrl-C and SIGTERM are passed on.

    Returns:
        exit status of the first command that failed; 0 when none did.
    """
    again = plan.max_restarts if plan.launcher == "mpirun" else 0  # torchrun restarts by itself
    for attempt in range(again + 1):
        env = {**plan.env, **({RESTARTS: str(attempt)} if attempt else {})}
        now = Plan(**{**plan.__dict__, "env": env})
        lines = commands(now)
        for words in lines:
            print(f"+ {shlex.join(words)}", file=sys.stderr, flush=True)
        running = Running(lines, env)
        status = running.wait()
        if status == 0 or running.told or attempt == again:
            return status
        print(f"exit status {status}: restart {attempt + 1} of {again}", file=sys.stderr)
    raise AssertionError


class Running:
    """Commands that run at the same time and end together."""

    def __init__(self, lines: Sequence[Sequence[str]], env: Mapping[str, str]) -> None:
        self.told = 0  # the signal that ended this process's work
        self._children = []
        self._before = {each: signal.signal(each, self._pass_on)
                        for each in (signal.SIGINT, signal.SIGTERM)}  # fmt: skip
        for words in lines:
            # In a session of its own, a child gets Ctrl-C once: from here.
            self._children.append(
                subprocess.Popen(list(words), env=dict(env), start_new_session=True)
            )

    def wait(self) -> int:
        """Until all have ended: the others get a minute after the first failure."""
        status, end = 0, float("inf")
        try:
            while any(child.poll() is None for child in self._children):
                failed = [child.returncode for child in self._children if child.returncode]
                if failed and not status:
                    status = failed[0]
                    end = time.monotonic() + OTHERS_S
                if time.monotonic() > end:
                    self._signal(signal.SIGTERM if status else signal.SIGKILL)
                    end, status = time.monotonic() + KILL_AFTER_S, status or 1
                    self._kill_at(end)
                time.sleep(0.05)
        finally:
            for each, handler in self._before.items():
                signal.signal(each, handler)
        codes = [child.returncode for child in self._children]
        status = status or next((code for code in codes if code), 0)
        if self.told:
            return 128 + self.told
        return status if status >= 0 else 128 - status

    def _kill_at(self, end: float) -> None:
        while any(child.poll() is None for child in self._children):
            if time.monotonic() > end:
                self._signal(signal.SIGKILL)
            time.sleep(0.05)

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.told = number
        self._signal(number)
