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

import argparse
import shlex
import sys
from collections.abc import Sequence

from plainbert.cli import values
from plainbert.cli.parser import Flag
from plainbert.cli.run import run
from plainbert.distributed import launch
from plainbert.recipes.shared import flags

HOSTS = "HOST:N[,HOST:N]"
LAUNCHERS = values.one_of("launcher", lambda: ("mpirun", "torchrun"))
FLAGS = (
    Flag("ranks", values.positive_int, "Processes on this machine.", metavar="N"),
    Flag("hosts", str, "Hosts and the processes on each; rank 0 runs on the first.", metavar=HOSTS),
    Flag(
        "with",
        LAUNCHERS,
        "What starts the processes: torchrun, or mpirun of Open MPI.",
        metavar="NAME",
    ),
    Flag("timeout", values.positive, "End everything after so many minutes.", metavar="MINUTES"),
    Flag(
        "max_restarts",
        values.whole_number,
        "How often to start again after a failure.",
        metavar="N",
    ),
    Flag(
        "port", values.positive_int, "Port of rank 0; one is chosen when not given.", metavar="PORT"
    ),
    Flag(
        "remote_shell",
        str,
        "Program that runs a command on a host, instead of ssh.",
        metavar="PROGRAM",
    ),
    Flag(
        "node_rank",
        values.whole_number,
        "Start only this host of the list, counted from 0.",
        metavar="N",
    ),
    Flag("options", str, "More options of mpirun or torchrun, in quotes.", metavar="TEXT"),
    Flag("dry_run", None, "Print the commands and run nothing."),
)
DEFAULTS = {
    "with": "torchrun",
    "max_restarts": 0,
    "remote_shell": "",
    "options": "",
    "dry_run": False,
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    words = list(sys.argv[1:] if argv is None else argv)
    start = next((i for i, word in enumerate(words) if word.endswith(".py")), len(words))
    parser = flags.parser(__doc__)
    for flag in FLAGS:
        parser.add(flag, DEFAULTS.get(flag.name))
    args = flags.parse(parser, words[:start])
    args.command = words[start:]
    parser.exclusive(args, "ranks", "hosts")
    if not args.command:
        parser.error("which script? Name it after the flags, then its own flags.")
    if args.ranks is None and args.hosts is None:
        parser.error("how many processes? Give --ranks N, or --hosts HOST:N,HOST:N.")
    parser.needs(args, "node_rank", "hosts")
    if args.node_rank is not None and getattr(args, "with") == "mpirun":
        parser.error("--node_rank is for torchrun: mpirun starts the other hosts itself.")
    return args


def plan(args: argparse.Namespace) -> launch.Plan:
    return launch.Plan(
        command=args.command,
        hosts=[("localhost", args.ranks)] if args.ranks else launch.read_hosts(args.hosts),
        launcher=getattr(args, "with"),
        timeout_min=args.timeout,
        max_restarts=args.max_restarts,
        port=args.port,
        remote_shell=args.remote_shell,
        options=shlex.split(args.options),
        node=args.node_rank,
    )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if not args.dry_run:
        return launch.run(plan(args))
    for words in launch.commands(plan(args)):
        print(shlex.join(words))
    return 0


if __name__ == "__main__":
    run(main, status=int)
