r"""Start a script as several processes, on this machine or on several hosts.

    python scripts/launch.py --ranks 2 scripts/bert/run_pretraining.py --data 'shards/*.npz'
    python scripts/launch.py --hosts h0:2,h1:2 --with mpirun --timeout 600 \
        scripts/bert/run_pretraining_hvd.py --data 'shards/*.npz'
    python scripts/launch.py --hosts h0:2,h1:2 --max_restarts 3 scripts/bert/run_pretraining.py ...

Prints each command it runs, with what a bare mpirun or torchrun lacks.
The hosts need the same files at the same paths. Other hosts are reached by ssh without a password;
without ssh, run the same command on every host with --node_rank 0, 1, ... (torchrun only).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from plainbert.cli import values
from plainbert.cli.settings import Flags, no_flag, option
from plainbert.distributed import launch
from plainbert.recipes.commands import SUMMARIES
from plainbert.recipes.shared import flags
from plainbert.visible import visible


@dataclass(frozen=True, kw_only=True)
class Settings(Flags):
    """The flags, with their documented defaults."""

    UNSET: ClassVar = {
        "ranks": "required without --hosts",
        "hosts": "required without --ranks",
        "timeout": "no end",
        "port": "a free one",
        "remote_shell": "ssh",
        "node_rank": "all hosts",
        "options": "none",
    }

    command: tuple[str, ...] = no_flag()
    ranks: int | None = option(None, values.positive_int, "Processes on this machine.", metavar="N")
    hosts: str | None = option(
        None,
        str,
        "Hosts and the processes on each; rank 0 runs on the first.",
        metavar="HOST:N[,HOST:N]",
    )
    launcher: str = option(
        "torchrun",
        values.one_of("launcher", lambda: ("mpirun", "torchrun")),
        "What starts the processes: torchrun, or mpirun of Open MPI.",
        metavar="NAME",
        name="with",
    )
    timeout: float | None = option(
        None, values.positive, "End everything after so many minutes.", metavar="MINUTES"
    )
    max_restarts: int = option(
        0, values.whole_number, "How often to start again after a failure.", metavar="N"
    )
    port: int | None = option(
        None,
        values.positive_int,
        "Port of rank 0; one is chosen when not given.",
        metavar="PORT",
    )
    remote_shell: str = option(
        "", str, "Program that runs a command on a host, instead of ssh.", metavar="PROGRAM"
    )
    node_rank: int | None = option(
        None,
        values.whole_number,
        "Start only this host of the list, counted from 0.",
        metavar="N",
    )
    options: str = option("", str, "More options of mpirun or torchrun, in quotes.", metavar="TEXT")
    dry_run: bool = option(False, None, "Print the commands and run nothing.")

    def checked(self) -> Self:
        self.exclusive("ranks", "hosts")
        if not self.command:
            self.refuse("which script? Name it after the flags, then its own flags.")
        if self.ranks is None and self.hosts is None:
            self.refuse("how many processes? Give --ranks N, or --hosts HOST:N,HOST:N.")
        self.needs("node_rank", "hosts")
        if self.node_rank is not None and self.launcher == "mpirun":
            self.refuse("--node_rank is for torchrun: mpirun starts the other hosts itself.")
        return self


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Our flags end where the script, or a command of ours, is named.
    named = (i for i, word in enumerate(words) if word.endswith(".py") or word in SUMMARIES)
    start = next(named, len(words))
    program = ("-m", "plainbert") if SUMMARIES.keys() & words[start : start + 1] else ()
    return flags.parse(Settings, __doc__, words[:start], command=(*program, *words[start:]))


def plan(settings: Settings) -> launch.LaunchPlan:
    """What the flags ask for."""
    hosts = [("localhost", settings.ranks)] if settings.ranks else []
    if settings.hosts is not None:
        hosts = launch.read_hosts(settings.hosts)
    return launch.LaunchPlan(
        command=list(settings.command),
        hosts=hosts,
        launcher=settings.launcher,
        timeout_min=settings.timeout,
        max_restarts=settings.max_restarts,
        port=settings.port,
        remote_shell=settings.remote_shell,
        options=shlex.split(settings.options),
        node=settings.node_rank,
    )


def run(settings: Settings) -> int:
    """Start the processes, and wait for them; the exit status of all."""
    return launch.run(plan(settings))


def main(argv: Sequence[str] | None = None) -> int:
    """The command: parse, run, report."""
    settings = parse_args(argv)
    if not settings.dry_run:
        return run(settings)
    for words in launch.commands(plan(settings)):
        print(visible(shlex.join(words)))
    return 0


def status(results: int) -> int:
    """What the command exits with: as the processes did."""
    return results
