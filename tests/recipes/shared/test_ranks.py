"""Runs that a launcher starts again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from plainbert.distributed.group import Group
from plainbert.distributed.world import World
from plainbert.recipes.shared.ranks import is_restarted

VERSIONS = {"plainbert": "0.1.0"}
TORCHRUN = {
    "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "h", "TORCHELASTIC_RUN_ID": "a1",
    "TORCHELASTIC_RESTART_COUNT": "1",
}  # fmt: skip
SLURM = {
    "SLURM_PROCID": "0", "SLURM_STEP_NODELIST": "h", "SLURM_STEP_NUM_TASKS": "1",
    "SLURM_LOCALID": "0", "SLURM_JOB_ID": "a1", "SLURM_RESTART_COUNT": "1",
}  # fmt: skip
MPIRUN = {
    "OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "PLAINBERT_RESTART_COUNT": "1", "PLAINBERT_LAUNCH": "a1",
}  # fmt: skip


@pytest.mark.parametrize("env", [TORCHRUN, SLURM, MPIRUN], ids=["torchrun", "slurm", "mpirun"])
def test_only_what_this_launch_began_goes_on(env: dict[str, str], tmp_path: Path) -> None:
    """An earlier run in the folder, which a first attempt did not come to overwrite, does not."""
    world = World.current(env)
    assert (world.attempt, world.launch) == (1, "a1")

    def goes_on(values: dict[str, object] | None, world: World = world) -> bool:
        if values is not None:
            (tmp_path / "args.json").write_text(json.dumps(values))
        return is_restarted(Group(world), tmp_path)

    begun = {"flags": {}, "versions": VERSIONS, "launch": "a1"}
    assert not goes_on(None)
    assert goes_on(begun)
    assert not goes_on({**begun, "launch": "b2"})
    assert not goes_on({"flags": {}, "versions": VERSIONS})
    assert not goes_on({"launch": "a1"})  # not written by a run of ours
    assert not goes_on(begun, replace(world, attempt=0))
    assert goes_on({"flags": {}, "versions": VERSIONS}, replace(world, launch=""))
