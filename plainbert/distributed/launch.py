"""The commands that start a script on one host or several, with what a bare command lacks.

- Without keep-alive options mpirun does not notice a cut network and hangs; with them it still does
  when a rank was quicker to notice (:mod:`plainbert.distributed.lifeline`).
- Without TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 (set by ``plainbert.distributed.agent``) ranks that
  torchrun starts again may look for ranks that are gone.
- An isolated launcher may ignore SIGTERM: ``timeout -k`` kills what is left.
- Open MPI 5 does not tell where rank 0 runs: MASTER_ADDR.
- mpirun binds each rank to one core or socket, which starves its threads: ``--bind-to none``.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from plainbert.distributed.lifeline import Lifelines
from plainbert.distributed.rendezvous import is_loopback, source_address
from plainbert.distributed.supervise import Running
from plainbert.distributed.world import FIRST_PORT, LAUNCH, LIFELINE, LOOPBACK, PORTS, RESTARTS
from plainbert.errors import UsageError
from plainbert.visible import visible

KEEP_ALIVE = {"time": 5, "intvl": 3, "probes": 3}  # a cut line is noticed after about 14 s
KILL_AFTER_S = 30
FORWARDED = (
    "PYTHONPATH",
    "OMP_NUM_THREADS",
    "MASTER_PORT",
    "TORCH_CPP_LOG_LEVEL",
    RESTARTS,
    LIFELINE,
)
LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class LaunchPlan:
    """What to start where.

    Attributes:
        command: the script and its flags.
        hosts: name and number of ranks of each host, rank 0's host first; one pair for this host
            alone.
        launcher: "mpirun" or "torchrun".
        timeout_min: minutes after which everything is ended; no limit when None.
        max_restarts: how often to start again after a failure.
        port: port of rank 0's store; one that follows from this process's id when None.
        remote_shell: program that runs a command on another host, called as REMOTE_SHELL HOST
            COMMAND; ssh when empty.
        options: more options for mpirun or torchrun.
        node: index of the only host whose ranks are started, for torchrun without a remote shell;
            all hosts when None.
        env: the variables that the launcher and its ranks get.
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
    """Name and number of ranks of each host in the value of ``--hosts``.

    Args:
        text: for example ``h0:2,h1:2``; a host without a number has one rank.

    Raises:
        UsageError: a host has no name or no ranks, or is named twice.
    """
    hosts = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([\w.-]+)(?::(\d+))?\s*", part)
        if match is None or int(match[2] or 1) == 0:
            raise UsageError(f"--hosts {text}: write HOST:RANKS,HOST:RANKS, such as h0:2,h1:2.")
        hosts.append((match[1], int(match[2] or 1)))
    if len({name for name, _ in hosts}) < len(hosts):
        raise UsageError(f"--hosts {text} names a host twice: give it all its ranks at once.")
    return hosts


def commands(plan: LaunchPlan) -> list[list[str]]:
    """The words of the commands to run at the same time: one, or one per host for torchrun."""
    return [_mpirun(plan)] if plan.launcher == "mpirun" else _torchrun(plan)


def _mpirun(plan: LaunchPlan, version: int | None = None) -> list[str]:
    version = open_mpi_version() if version is None else version
    words = ["mpirun", "-np", str(plan.ranks), "--bind-to", "none", "--oversubscribe"]
    if len(plan.hosts) > 1 or plan.hosts[0][0] not in LOCAL:
        words += ["-H", ",".join(f"{name}:{count}" for name, count in plan.hosts)]
        words += ["-x", f"MASTER_ADDR={plan.hosts[0][0]}"]
    if os.geteuid() == 0:  # containers; mpirun refuses otherwise
        words.append("--allow-run-as-root")
    setting = "--mca" if version < 5 else "--prtemca"
    for name, value in KEEP_ALIVE.items():
        words += [setting, f"oob_tcp_keepalive_{name}", str(value)]
    if plan.remote_shell:
        agent = "plm_rsh_agent" if version < 5 else "plm_ssh_agent"
        words += [setting, agent, plan.remote_shell]
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


def _torchrun(plan: LaunchPlan) -> list[list[str]]:
    agent = [sys.executable, "-m", "plainbert.distributed.agent"]
    if len(plan.hosts) == 1 and plan.node is None:
        flags = ["--standalone", f"--nproc-per-node={plan.hosts[0][1]}"]
        flags.append(f"--max-restarts={plan.max_restarts}")
        words = [*agent, *flags, *plan.options, *plan.command]
        return [_on_host(plan, plan.hosts[0][0], words)]
    port = plan.port or FIRST_PORT + os.getpid() % PORTS
    first, lines = plan.hosts[0][0], []
    for node, (name, count) in enumerate(plan.hosts):
        flags = [f"--nnodes={len(plan.hosts)}", f"--nproc-per-node={count}"]
        if plan.max_restarts:
            # Only this rendezvous lets the hosts agree on starting again.
            flags += [f"--max-restarts={plan.max_restarts}", "--rdzv-backend=c10d"]
            flags += [f"--rdzv-endpoint={first}:{port}", f"--rdzv-id=plainbert-{port}"]
            flags.append(f"--local-addr={name}")
        else:
            flags += [f"--node-rank={node}", f"--master-addr={first}", f"--master-port={port}"]
        words = [*agent, *flags, *plan.options, *plan.command]
        if plan.node is None:
            lines.append(_on_host(plan, name, words))
        elif plan.node == node:
            lines.append(plan.limited(words))
    return lines


def _on_host(plan: LaunchPlan, host: str, words: Sequence[str]) -> list[str]:
    """The command as it is for this host, through the remote shell for another one."""
    if host in LOCAL or (host == socket.gethostname() and not plan.remote_shell):
        return plan.limited(words)
    variables = [f"{name}={plan.env[name]}" for name in FORWARDED if name in plan.env]
    command = shlex.join(["env", *variables, *plan.limited(words)])
    shell = shlex.split(plan.remote_shell or "ssh -o BatchMode=yes")
    return [*shell, host, f"cd {shlex.quote(os.getcwd())} && exec {command}"]


def open_mpi_version() -> int:
    """Main version of the mpirun on the path.

    Raises:
        UsageError: there is none, or it is not Open MPI's.
    """
    try:
        result = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise UsageError(
            "there is no mpirun here. Install Open MPI (Debian, Ubuntu: apt-get install "
            "openmpi-bin), or use --with torchrun, which needs nothing."
        ) from error
    match = re.search(r"Open MPI\) (\d+)\.", result.stdout)
    if match is None:
        raise UsageError(
            "the mpirun on the path is not Open MPI's. Start the script with it directly, or use "
            "--with torchrun."
        )
    return int(match[1])


def run(plan: LaunchPlan) -> int:
    """Start, wait, start again if the plan says so; Ctrl-C and SIGTERM are passed on.

    Returns:
        exit status of the first command that failed; 0 when none did.
    """
    if plan.launcher == "torchrun":  # restarts by itself
        return _start(plan).wait()
    for attempt in range(plan.max_restarts + 1):
        restarts = {RESTARTS: str(attempt)} if attempt else {}
        with Lifelines(_outward_address(plan.hosts)) as lifelines:
            env = {**plan.env, **restarts, LIFELINE: lifelines.place}
            running = _start(replace(plan, env=env), lifelines.broken)
            status = running.wait()
        if status == 0 or running.stopped_by or attempt == plan.max_restarts:
            return status
        text = f"exit status {status}: restart {attempt + 1} of {plan.max_restarts}"
        print(visible(text), file=sys.stderr)
    raise AssertionError


def _start(plan: LaunchPlan, rank_failed: Callable[[], bool] = lambda: False) -> Running:
    lines = commands(plan)
    for words in lines:
        print(visible(f"+ {shlex.join(words)}"), file=sys.stderr, flush=True)
    # An mpirun that waits for a host out of reach crashes, with a long dump, when told to end.
    return Running(lines, plan.env, rank_failed, kill_stuck=plan.launcher == "mpirun")


def _outward_address(hosts: Sequence[tuple[str, int]]) -> str:
    """This host's address on the way to the others; the loopback's when all is on this host."""
    addresses = [source_address(name) for name, _ in hosts]
    outward = (address for address in addresses if address and not is_loopback(address))
    return next(outward, LOOPBACK)
