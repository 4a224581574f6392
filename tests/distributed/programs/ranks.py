"""A small training run over a Group; flags choose who fails, how and when.

    python ranks.py --steps 20 --output OUT.json [--spawn 2] [--fail kill --who 1 --at 5]

Rank 0 writes the weights, in float64, that a single process reaches too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

from plainbert.cli.run import run
from plainbert.distributed.group import Group, init
from plainbert.distributed.spawn import spawn
from plainbert.distributed.world import World
from plainbert.errors import DataError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds of each step")
    parser.add_argument("--timeout", type=float, default=20.0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--spawn", type=int, default=1)
    parser.add_argument("--fail", default="")
    parser.add_argument("--who", type=int, default=1)
    parser.add_argument("--at", type=int, default=5)
    parser.add_argument("--start_s", type=float)
    parser.add_argument("--no_with", action="store_true")
    return parser.parse_args()


def fail(args: argparse.Namespace, world: World) -> None:
    if args.fail == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if args.fail == "error":
        raise DataError("a token is missing", "corpus.txt", 7)
    if args.fail == "bug":
        raise ZeroDivisionError("a mistake of ours")
    if args.fail == "exit":
        sys.exit(0)
    if args.fail == "status":
        os._exit(3)
    if args.fail == "hang":
        time.sleep(1000)
    if args.fail == "short":  # leaves in peace, too early
        args.steps = args.at


def train(args: argparse.Namespace, group: Group) -> list[float]:
    """Least squares by gradient descent on 60 ragged rows that the ranks share."""
    world = group.world
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 8, dtype=torch.float64, generator=generator)
    wanted = torch.randn(60, 1, dtype=torch.float64, generator=generator)
    weights = torch.randn(8, 1, dtype=torch.float64, generator=generator) * (1 + group.rank)
    group.broadcast([weights])
    log = Path(str(args.output) + f".{world.rank}") if args.output else None
    for step in range(args.steps):
        if args.fail and world.rank == args.who and step == args.at and world.attempt == 0:
            fail(args, world)
        if step >= args.steps:
            break
        own = slice(step % 3 + group.rank, None, group.size)
        error = inputs[own] @ weights - wanted[own]
        gradient = inputs[own].T @ error
        count = torch.tensor([error.numel()], dtype=torch.int64)
        group.reduce([gradient, count])
        weights -= 0.1 * gradient / float(count)
        time.sleep(args.sleep)
        if log is not None:  # in one piece: a test that reads no process id would kill process 0
            partial = Path(f"{log}.new")
            partial.write_text(json.dumps([step, os.getpid(), world.attempt]))
            partial.replace(log)
    return weights.flatten().tolist()


def main() -> None:
    args = parse_args()
    world = World.current()
    if args.spawn > 1 and world.launcher == "single":
        sys.exit(spawn(args.spawn))
    group = init(world, "cpu", args.timeout, start_s=args.start_s)
    if args.no_with:
        train(args, group)
        return
    with group:
        weights = train(args, group)
        about = {"rank": group.rank, "host": world.host, "launcher": world.launcher}
        ranks = group.gather({**about, "attempt": world.attempt})
        group.barrier()
    if world.rank == 0:
        if args.output:
            args.output.write_text(json.dumps({"weights": weights, "ranks": ranks}))
        print("done", flush=True)


if __name__ == "__main__":
    run(main)
