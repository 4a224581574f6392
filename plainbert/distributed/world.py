"""Which process this is, among how many: the only code that reads launcher variables.

Nothing here imports torch.
"""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from plainbert.distributed.failure import DistributedError
from plainbert.distributed.nodelist import expand_counts, expand_hosts

LOOPBACK = "127.0.0.1"
# Below 32768: from there on Linux gives ports to whoever asks for any.
FIRST_PORT, PORTS = 20000, 12000
DEFAULT_PORT = 29500
# Set by scripts/launch.py around mpirun.
RESTARTS = "PLAINBERT_RESTART_COUNT"
LAUNCH = "PLAINBERT_LAUNCH"  # the same in all attempts of one run
LIFELINE = "PLAINBERT_LIFELINE"


@dataclass(frozen=True)
class World:
    """One process among the processes of a run.

    Attributes:
        rank: this process's number among those of the run, in [0, size).
        size: number of processes of the run.
        local_rank: this process's number among those of its host, in [0, local_size).
        local_size: number of processes of the run on this host.
        host: name of this host.
        launcher: single, torchrun (or anything that sets RANK, WORLD_SIZE and MASTER_ADDR), mpirun
            (Open MPI), mpich (and Intel MPI) or slurm.
        address: name or address of rank 0's host; empty when the launcher does not give it.
        guessed: whether the address is that of the launcher's host, which rank 0 may not share.
        port: port of rank 0's store.
        job: name of the run, the same on all its ranks and on those of no other run.
        attempt: how often the launcher started this run again.
        launch: what all those attempts have in common; empty when the launcher does not tell.
        agent_store: whether the launcher keeps the store itself.
        lifeline: where the launcher waits for this rank's connection; empty without such a
            launcher.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    host: str = field(default_factory=socket.gethostname)
    launcher: str = "single"
    address: str = LOOPBACK
    guessed: bool = False
    port: int = DEFAULT_PORT
    job: str = ""
    attempt: int = 0
    launch: str = ""
    agent_store: bool = False
    lifeline: str = field(default="", repr=False)  # holds a secret

    @classmethod
    def current(cls, env: Mapping[str, str] | None = None, local_rank: int | None = None) -> World:
        """Read the launcher's variables.

        Args:
            env: the variables; this process's own when None.
            local_rank: the value of ``--local_rank``, which old launchers give instead of a
                variable; None or negative without one.

        Raises:
            DistributedError: the variables contradict each other, or some are missing.
        """
        env = os.environ if env is None else env
        world = next(world for read in _READERS if (world := read(env)) is not None)
        if local_rank is not None and local_rank >= 0:
            if world.size == 1 and local_rank > 0:
                raise DistributedError(
                    f"--local_rank {local_rank}, but the variables RANK, WORLD_SIZE and "
                    "MASTER_ADDR that a launcher sets are missing. Start the script with torchrun, "
                    "mpirun or srun, or leave --local_rank out."
                )
            if "LOCAL_RANK" not in env and world.launcher == "torchrun":
                world = replace(
                    world, local_rank=local_rank, local_size=max(world.local_size, local_rank + 1)
                )
        world = replace(
            world,
            attempt=max(world.attempt, _number(env, RESTARTS, 0)),
            launch=world.launch or env.get(LAUNCH, ""),
            lifeline=env.get(LIFELINE, ""),
        )
        for name, value, count in (
            ("rank", world.rank, world.size),
            ("local rank", world.local_rank, world.local_size),
        ):
            if not value < count:
                raise DistributedError(
                    f"the launcher ({world.launcher}) gives {name} {value} of {count}: {name}s are "
                    f"counted from 0 to {count - 1}. Check the variables it sets."
                )
        return world

    @property
    def name(self) -> str:
        """How messages call this process."""
        return f"rank {self.rank} of {self.size} on {self.host}"

    def device_index(self, count: int) -> int:
        """Which of the GPUs that this process sees is its own.

        Args:
            count: number of GPUs it sees. A launcher may show each process only its own one.

        Raises:
            DistributedError: there are fewer than processes.
        """
        if self.local_rank < count:
            return self.local_rank
        if count == 1 and self.launcher == "slurm":
            return 0
        raise DistributedError(
            f"{self.host} has {count} GPU(s) for {self.local_size} ranks. Start one rank per GPU, "
            "or use the CPU (--gpus '')."
        )


def _number(env: Mapping[str, str], name: str, default: int | None = None) -> int:
    """The whole number in a variable; the default where it is empty or not set."""
    text = env.get(name, "")
    if not text and default is not None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise DistributedError(
            f"the variable {name} is {text!r}; a launcher sets a whole number from 0. Start the "
            "script with torchrun, mpirun or srun, or unset the variable."
        )
    return value


def _port(env: Mapping[str, str], job: str) -> int:
    """MASTER_PORT, else a port that follows from the job, else the usual one."""
    if env.get("MASTER_PORT"):
        port = _number(env, "MASTER_PORT")
        if not 0 < port < 65536:
            raise DistributedError(f"MASTER_PORT is {port}; a port lies in 1 to 65535.")
        return port
    return FIRST_PORT + zlib.crc32(job.encode()) % PORTS if job else DEFAULT_PORT


def _from_variables(env: Mapping[str, str]) -> World | None:
    """RANK, WORLD_SIZE, MASTER_ADDR: torchrun, or set by hand."""
    if not all(env.get(name) for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR")):
        return None
    rank, size = _number(env, "RANK"), _number(env, "WORLD_SIZE")
    local_rank = _number(env, "LOCAL_RANK", 0)
    job, attempt = env.get("TORCHELASTIC_RUN_ID", ""), _number(env, "TORCHELASTIC_RESTART_COUNT", 0)
    if job and env.get("GROUP_WORLD_SIZE") == "1":
        # One agent counts the restarts, so all ranks agree: addresses of ranks that are gone stay
        # with the attempt they belong to. Several agents may count differently.
        job = f"{job}.{attempt}"
    return World(
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=_number(env, "LOCAL_WORLD_SIZE", local_rank + 1),
        launcher="torchrun",
        address=env["MASTER_ADDR"],
        port=_port(env, ""),
        job=job,
        attempt=attempt,
        launch=env.get("TORCHELASTIC_RUN_ID", ""),
        agent_store=env.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def _from_open_mpi(env: Mapping[str, str]) -> World | None:
    """Open MPI 4 and 5. Only 4 tells where mpirun runs, which is usually rank 0's host."""
    if not env.get("OMPI_COMM_WORLD_SIZE"):
        return None
    size = _number(env, "OMPI_COMM_WORLD_SIZE")
    local_size = _number(env, "OMPI_COMM_WORLD_LOCAL_SIZE", size)
    address, guessed = _address(env, size == local_size), False
    if not address and (uri := env.get("OMPI_MCA_orte_hnp_uri")):
        address, guessed = hnp_address(uri), True
    job = env.get("PMIX_NAMESPACE", "") or env.get("OMPI_MCA_ess_base_jobid", "")
    return World(
        rank=_number(env, "OMPI_COMM_WORLD_RANK"),
        size=size,
        local_rank=_number(env, "OMPI_COMM_WORLD_LOCAL_RANK"),
        local_size=local_size,
        launcher="mpirun",
        address=address,
        guessed=guessed,
        port=_port(env, job),
        job=job,
    )


def _from_mpich(env: Mapping[str, str]) -> World | None:
    """MPICH's hydra, and Intel MPI. Slurm sets PMI_RANK too, but not the local rank."""
    if not (env.get("PMI_SIZE") and env.get("MPI_LOCALRANKID")):
        return None
    size, local_rank = _number(env, "PMI_SIZE"), _number(env, "MPI_LOCALRANKID")
    local_size = _number(env, "MPI_LOCALNRANKS", 0)
    return World(
        rank=_number(env, "PMI_RANK"),
        size=size,
        local_rank=local_rank,
        local_size=local_size or local_rank + 1,
        launcher="mpich",
        address=_address(env, size == local_size),
        port=_port(env, ""),
        job=env.get("PMI_JOBID", ""),
    )


def _from_slurm(env: Mapping[str, str]) -> World | None:
    """Tasks of ``srun``. A batch script's own shell has a job but no step: it stays single."""
    if not (env.get("SLURM_PROCID") and env.get("SLURM_STEP_NODELIST")):
        return None
    size = _number(env, "SLURM_STEP_NUM_TASKS", _number(env, "SLURM_NTASKS", 1))
    hosts = expand_hosts(env["SLURM_STEP_NODELIST"])
    local_rank, node = _number(env, "SLURM_LOCALID"), _number(env, "SLURM_NODEID", 0)
    per_node = env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE", "")
    counts = expand_counts(per_node) if per_node else []
    local_size = size if len(hosts) == 1 else local_rank + 1
    if node < len(counts) and len(counts) == len(hosts):
        local_size = counts[node]
    job = ".".join(env.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return World(
        rank=_number(env, "SLURM_PROCID"),
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        launcher="slurm",
        address=_address(env, len(hosts) == 1) or hosts[0],
        port=_port(env, job),
        job=job,
        attempt=_number(env, "SLURM_RESTART_COUNT", 0),
        launch=env.get("SLURM_JOB_ID", ""),
    )


def _single(env: Mapping[str, str]) -> World:
    """No launcher; half of one is a mistake that would run the same work several times."""
    if env.get("RANK") and _number(env, "WORLD_SIZE", 1) > 1:
        raise DistributedError(
            f"RANK={env['RANK']} and WORLD_SIZE={env['WORLD_SIZE']} are set, but MASTER_ADDR is "
            "not: the ranks cannot find each other. Set MASTER_ADDR to rank 0's host, or start the "
            "script with torchrun, mpirun or srun."
        )
    return World()


def _address(env: Mapping[str, str], one_host: bool) -> str:
    """MASTER_ADDR, else the loopback's address where all ranks share a host; else ""."""
    return env.get("MASTER_ADDR") or (LOOPBACK if one_host else "")


def hnp_address(uri: str) -> str:
    """The first address in Open MPI 4's ``orte_hnp_uri`` that other hosts can reach.

    Example:
        >>> hnp_address("3511615488.0;tcp://127.0.0.1,10.77.0.1:45937")
        '10.77.0.1'
    """
    for part in uri.split(";"):
        kind, _, rest = part.partition("://")
        if kind == "tcp" and rest:
            addresses = rest.split(":")[0].split(",")
            others = (address for address in addresses if not address.startswith("127."))
            return next(others, addresses[0])
    return ""


_READERS = (_from_variables, _from_open_mpi, _from_mpich, _from_slurm, _single)
