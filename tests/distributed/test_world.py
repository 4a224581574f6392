from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from plainbert.distributed.failure import DistributedError
from plainbert.distributed.rendezvous import resolve
from plainbert.distributed.world import DEFAULT_PORT, World, hnp_address

# As the launchers set them; what does not matter is left out.
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_WORLD_SIZE": "2",
    "MASTER_ADDR": "h0",
    "MASTER_PORT": "29511",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "2",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}
OPEN_MPI_4 = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "681508865",
    "OMPI_MCA_orte_hnp_uri": "681508864.0;tcp://10.77.0.1:53455;tcp6://[fd00::2]:49517",
}
OPEN_MPI_5 = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "prterun-h0-17516@1",
}
MPICH = {
    "PMI_RANK": "1",
    "PMI_SIZE": "2",
    "MPI_LOCALRANKID": "1",
    "MPI_LOCALNRANKS": "2",
    "PMI_FD": "9",
}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "6",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "3",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[01-02,07],m2",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2),2(x2)",
}


def without(env: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in names}


def test_no_launcher() -> None:
    assert World.current({"PATH": "/bin"}) == World(host=socket.gethostname())


def test_torchrun() -> None:
    world = World.current(TORCHRUN)

    assert (world.rank, world.size, world.local_rank, world.local_size) == (3, 4, 1, 2)
    assert (world.launcher, world.address, world.port) == ("torchrun", "h0", 29511)
    assert (world.attempt, world.agent_store, world.job) == (2, True, "none")


def test_restarts_by_one_agent_are_different_jobs() -> None:
    one = {**TORCHRUN, "GROUP_WORLD_SIZE": "1"}

    assert World.current(one).job == "none.2"


def test_variables_set_by_hand() -> None:
    world = World.current({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "h0"})

    assert (world.rank, world.size, world.local_rank, world.port) == (0, 2, 0, DEFAULT_PORT)


def test_local_rank_flag_of_old_launchers() -> None:
    env = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}

    assert World.current(env, local_rank=1).local_rank == 1
    assert World.current(TORCHRUN, local_rank=0).local_rank == 1  # the variable knows better
    assert World.current({}, local_rank=-1).size == 1
    assert World.current({}, local_rank=0).size == 1
    with pytest.raises(DistributedError, match="--local_rank 1, but the variables RANK"):
        World.current({}, local_rank=1)


def test_open_mpi_4_on_two_hosts_uses_the_address_of_mpirun() -> None:
    world = World.current(OPEN_MPI_4)

    assert (world.rank, world.size, world.local_rank, world.local_size) == (1, 4, 1, 2)
    assert (world.launcher, world.address, world.guessed) == ("mpirun", "10.77.0.1", True)
    assert 20000 <= world.port < 32000


def test_the_port_follows_from_the_job() -> None:
    ports = {
        World.current({**OPEN_MPI_4, "PMIX_NAMESPACE": f"{job}", "OMPI_COMM_WORLD_RANK": rank}).port
        for job in range(20)
        for rank in "01"
    }

    assert 15 < len(ports) <= 20
    assert World.current({**OPEN_MPI_4, "MASTER_PORT": "4000"}).port == 4000


@pytest.mark.parametrize("env", [OPEN_MPI_4, OPEN_MPI_5])
def test_open_mpi_on_one_host_needs_no_address(env: dict[str, str]) -> None:
    world = World.current({**env, "OMPI_COMM_WORLD_SIZE": "2"})

    assert (world.address, world.guessed) == ("127.0.0.1", False)


@pytest.mark.parametrize("env", [OPEN_MPI_4, OPEN_MPI_5])
def test_open_mpi_with_an_address(env: dict[str, str]) -> None:
    world = World.current({**env, "MASTER_ADDR": "h0"})

    assert (world.address, world.guessed, world.launcher) == ("h0", False, "mpirun")


def test_open_mpi_5_without_an_address_names_the_flag() -> None:
    with pytest.raises(DistributedError, match="-x MASTER_ADDR=HOST"):
        resolve(World.current(OPEN_MPI_5))


def test_hnp_address() -> None:
    assert hnp_address("1.0;tcp://127.0.0.1,192.0.2.7,172.17.0.1:5:24,16") == "192.0.2.7"
    assert hnp_address("1.0;tcp6://[::1]:5") == ""
    assert hnp_address("1.0;tcp://127.0.0.1:5") == "127.0.0.1"


def test_mpich() -> None:
    world = World.current(MPICH)

    assert (world.rank, world.size, world.local_rank, world.local_size) == (1, 2, 1, 2)
    assert (world.launcher, world.address) == ("mpich", "127.0.0.1")
    with pytest.raises(DistributedError, match="-genv MASTER_ADDR HOST"):
        resolve(World.current({**MPICH, "PMI_SIZE": "4"}))


def test_slurm() -> None:
    world = World.current(SLURM)

    assert (world.rank, world.size, world.local_rank, world.local_size) == (5, 6, 1, 2)
    assert (world.launcher, world.address, world.job) == ("slurm", "n01", "4711.0")
    # Its PMI sets more variables; they do not make it an MPICH.
    assert World.current({**SLURM, "PMI_RANK": "5", "PMI_SIZE": "6"}) == world


def test_the_shell_of_a_slurm_batch_script_is_no_rank() -> None:
    env = {**without(SLURM, "SLURM_STEP_NODELIST", "SLURM_STEP_ID"), "SLURM_NODELIST": "n[1-2]"}

    assert World.current(env).launcher == "single"


def test_the_inner_launcher_wins() -> None:
    assert World.current({**SLURM, **OPEN_MPI_4}).launcher == "mpirun"
    assert World.current({**SLURM, **OPEN_MPI_4, **TORCHRUN}).launcher == "torchrun"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, "MASTER_ADDR is not"),
        ({**TORCHRUN, "RANK": "4"}, "rank 4 of 4"),
        ({**TORCHRUN, "LOCAL_RANK": "2"}, "local rank 2 of 2"),
        ({**TORCHRUN, "RANK": "first"}, "RANK is 'first'"),
        ({**TORCHRUN, "MASTER_PORT": "70000"}, "1 to 65535"),
        ({**OPEN_MPI_4, "OMPI_COMM_WORLD_RANK": "-1"}, "OMPI_COMM_WORLD_RANK is '-1'"),
    ],
)
def test_variables_that_contradict_each_other(env: dict[str, str], words: str) -> None:
    with pytest.raises(DistributedError, match=words):
        World.current(env)


def test_gpu_of_a_rank() -> None:
    assert World.current(TORCHRUN).device_index(2) == 1
    assert World.current(SLURM).device_index(1) == 0  # Slurm shows each task its own only
    with pytest.raises(DistributedError, match=r"1 GPU\(s\) for 2 ranks"):
        World.current(TORCHRUN).device_index(1)


def test_nothing_here_waits_for_torch() -> None:
    code = (
        "import sys\n"
        "from plainbert.distributed import agent, ending, failure, group, launch, lifeline\n"
        "from plainbert.distributed import packing, peers, rendezvous, spawn, supervise\n"
        "from plainbert.distributed import watch, world\n"
        "world.World.current()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
