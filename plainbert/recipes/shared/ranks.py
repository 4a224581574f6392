"""Recipes that run as several processes: started by a launcher, or by themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from plainbert.distributed.group import Group, init
from plainbert.distributed.world import World
from plainbert.errors import UsageError
from plainbert.recipes.shared import output_dir
from plainbert.recipes.shared.settings import ProcessFlags

Row = TypeVar("Row")
Value = TypeVar("Value")


def join(settings: ProcessFlags) -> Group:
    """Become a rank of the run; the result closes itself after a ``with`` block.

    Args:
        settings: of the recipe.

    Raises:
        UsageError: several ranks are asked for, and no launcher has started this process.
        DeviceError: a GPU was asked for that is not there.
        DistributedError: the ranks do not find each other.
    """
    world = World.current(local_rank=settings.local_rank)
    if settings.local_ranks > 1 and world.launcher == "single":
        raise UsageError(
            f"{settings.local_ranks} ranks are asked for, and this process is one. Commands start "
            "them by themselves; start a program of your own with torchrun or mpirun."
        )
    import torch

    on_gpu = settings.gpus != () and torch.cuda.is_available()
    if world.size > 1 and on_gpu:
        torch.cuda.set_device(world.device_index(torch.cuda.device_count()))
    device = "cuda" if on_gpu else "cpu"
    return init(world, device, settings.dist_timeout, settings.dist_backend)


def is_restarted(group: Group, folder: str | Path) -> bool:
    """Whether a run was started again after a rank was lost, and is to go on where it was.

    All ranks must call. The folder may still hold an earlier run: that is not gone on with.

    Args:
        group: the ranks.
        folder: of the run.
    """
    world = group.world
    return from_first(  # launchers on several hosts may count differently: rank 0 decides
        group, lambda: bool(world.attempt) and output_dir.launch_of(Path(folder)) == world.launch
    )


def from_first(group: Group, make: Callable[[], Value]) -> Value:
    """What rank 0 makes, on every rank; JSON must have words for it."""
    if group.size == 1:
        return make()
    value: Value = group.gather(make() if group.rank == 0 else None)[0]
    return value


def deal(group: Group, rows: Sequence[Row], work: Callable[[list[Row]], list[Any]]) -> list[Any]:
    """Let each rank do its share of some rows.

    Args:
        group: the ranks.
        rows: equal on every rank.
        work: one result for each of the rows it gets, in their order; of what JSON can say.

    Returns:
        the results of all rows, in their order, on every rank.
    """
    if group.size == 1:
        return work(list(rows))
    mine = list(rows[group.rank :: group.size])
    parts = group.gather(work(mine) if mine else [])
    results: list[Any] = [None] * len(rows)
    for rank, part in enumerate(parts):
        results[rank :: group.size] = part
    return results


def start_ranks(settings: ProcessFlags, recipe: str, argv: Sequence[str] | None) -> None:
    """Run a command again as several ranks, where the flags ask for them and no launcher did.

    With ``--num_local_ranks 2`` or ``--gpus 0,1`` this process waits for the ranks, and exits as
    they did.

    Args:
        settings: of the recipe.
        recipe: its name.
        argv: the words of the command line; ``sys.argv[1:]`` when None.

    Raises:
        SystemExit: the ranks that this process started have ended.
        UsageError: more ranks than GPUs were asked for.
        DeviceError: a GPU was asked for that is not there.
    """
    count, gpus = settings.local_ranks, settings.gpus
    if count == 1 or World.current(local_rank=settings.local_rank).launcher != "single":
        return
    from plainbert.distributed.spawn import spawn
    from plainbert.infer import devices

    if gpus and len(gpus) < count:
        raise UsageError(
            f"--num_local_ranks {count} with {len(gpus)} GPU(s) in --gpus: one rank per GPU "
            "is expected. Leave one of the two flags out."
        )
    for gpu in gpus or ():
        devices.pick_device(gpu)
    words = [*_program(recipe), *(sys.argv[1:] if argv is None else argv)]
    raise SystemExit(spawn(count, words, gpus or None, settings.max_restarts))


def _program(recipe: str) -> list[str]:
    """What starts a recipe: the script that the user typed, else the package."""
    script, main = Path(sys.argv[0]), sys.modules["__main__"]
    if main.__spec__ is None and script.is_file() and output_dir.recipe_of(script.name) == recipe:
        return [str(script)]
    return ["-m", "plainbert", recipe]
