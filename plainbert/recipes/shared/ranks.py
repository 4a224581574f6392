"""Scripts that run as several processes: started by a launcher, or by themselves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from plainbert.distributed.group import Group, init
from plainbert.distributed.spawn import spawn
from plainbert.distributed.world import World
from plainbert.errors import UsageError
from plainbert.recipes.shared import output_dir

Row = TypeVar("Row")
Value = TypeVar("Value")


def join(args: argparse.Namespace, script: str, argv: Sequence[str] | None) -> Group:
    """Become a rank of the run; the result closes itself after a ``with`` block.

    With ``--num_local_ranks 2`` or ``--gpus 0,1`` and without a launcher, this process starts the
    ranks, waits for them, and exits as they did.

    Args:
        args: parsed flags.
        script: path of the script.
        argv: its words; ``sys.argv[1:]`` when None.

    Raises:
        SystemExit: the ranks that this process started have ended with an error.
        UsageError: more ranks than GPUs were asked for.
        DeviceError: a GPU was asked for that is not there.
        DistributedError: the ranks do not find each other.
    """
    world = World.current(local_rank=args.local_rank)
    count = max(args.num_local_ranks, len(args.gpus or ()))
    if count > 1 and world.launcher == "single":
        _start(args, count, [script, *(sys.argv[1:] if argv is None else argv)])
    import torch

    on_gpu = args.gpus != () and torch.cuda.is_available()
    if world.size > 1 and on_gpu:
        torch.cuda.set_device(world.device_index(torch.cuda.device_count()))
    return init(world, "cuda" if on_gpu else "cpu", args.dist_timeout, args.dist_backend)


def restarted(args: argparse.Namespace, group: Group) -> bool:
    """Let a run that was started again, after a rank was lost, go on where it was.

    All ranks must call. The folder may still hold an earlier run: that is not gone on with.

    Returns:
        whether it is one.
    """
    world, folder = group.world, Path(args.output_dir)
    again = shared(  # launchers on several hosts may count differently: rank 0 decides
        group, lambda: bool(world.attempt) and output_dir.launch_of(folder) == world.launch
    )
    if again:
        args.resume, args.overwrite = True, False
    return again


def shared(group: Group, make: Callable[[], Value]) -> Value:
    """What rank 0 makes, on every rank; JSON must have words for it."""
    if group.size == 1:
        return make()
    found: Value = group.gather(make() if group.rank == 0 else None)[0]
    return found


def deal(group: Group, rows: Sequence[Row], work: Callable[[list[Row]], list[Any]]) -> list[Any]:
    """Let each rank do its share of some rows.

    Args:
        group: the ranks.
        rows: the same on every rank.
        work: one result for each of the rows it is given, in their order; of what JSON can say.

    Returns:
        the results of all rows, in their order, on every rank.
    """
    if group.size == 1:
        return work(list(rows))
    mine = list(rows[group.rank :: group.size])
    parts = group.gather(work(mine) if mine else [])
    found: list[Any] = [None] * len(rows)
    for rank, part in enumerate(parts):
        found[rank :: group.size] = part
    return found


def _start(args: argparse.Namespace, count: int, words: list[str]) -> None:
    """Run the script again as several ranks, and exit as they do."""
    from plainbert.infer import devices

    if args.gpus and len(args.gpus) < count:
        raise UsageError(
            f"--num_local_ranks {count} with {len(args.gpus)} GPU(s) in --gpus: one rank per GPU "
            "is expected. Leave one of the two flags out."
        )
    for gpu in args.gpus or ():
        devices.pick_device(gpu)
    raise SystemExit(spawn(count, words, args.gpus or None, args.max_restarts))
