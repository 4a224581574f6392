"""How the ranks of a run find each other: rank 0's address, its store, the right network card."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import struct
import sys
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from plainbert.distributed.failure import DistributedError
from plainbert.distributed.world import World

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_SIOCGIFADDR = 0x8915
_LONGEST = 256  # bytes of an address in mpi4py's broadcast


def resolve(world: World) -> World:
    """The same world with an address of rank 0.

    Raises:
        DistributedError: no variable holds it; the message names the flag that sets one.
    """
    if world.address and not world.guessed:
        return world
    if world.launcher in ("mpirun", "mpich") and (address := _ask_mpi(world)):
        return replace(world, address=address, guessed=False)
    if world.address:
        return world
    flag = "-x MASTER_ADDR=HOST" if world.launcher == "mpirun" else "-genv MASTER_ADDR HOST"
    name = "Open MPI 5" if world.launcher == "mpirun" else "this mpirun"
    raise DistributedError(
        f"{world.size} ranks on several hosts, and {name} does not tell where rank 0 runs. Add "
        f"{flag} to the mpirun command, HOST being the first host of its list (or install mpi4py "
        "for this MPI, or use the command launch, which adds it)."
    )


def _ask_mpi(world: World) -> str:
    """Rank 0's address by one MPI broadcast, where mpi4py for this MPI is installed; else "".

    MPI is ended right away: a process that still has it open when another dies may hang at exit.
    """
    try:
        import mpi4py
    except ImportError:
        return ""
    mpi4py.rc.initialize = mpi4py.rc.finalize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):  # built for another MPI
        return ""
    if MPI.Is_initialized():
        return ""
    MPI.Init()
    try:
        if MPI.COMM_WORLD.Get_size() != world.size:
            return ""
        buffer = bytearray(_LONGEST)
        if MPI.COMM_WORLD.Get_rank() == 0:
            address = _own_address().encode()[:_LONGEST]
            buffer[: len(address)] = address
        MPI.COMM_WORLD.Bcast(buffer, root=0)
    finally:
        MPI.Finalize()
    return buffer.rstrip(b"\0").decode()


def _own_address() -> str:
    """This host as the others know it: its name, or its address where the name means itself."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        address = socket.gethostbyname(name)
        if not is_loopback(address):
            return address
    return source_address("192.0.2.1") or name  # any address outside: nothing is sent to it


def source_address(target: str) -> str:
    """This host's address on the way to ``target``; "" when there is no way."""
    with contextlib.suppress(OSError):
        family, _, _, _, address = socket.getaddrinfo(target, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    return ""


def rank_0_address(world: World) -> str:
    """The address of this process, rank 0, for the others; the store may be on another host."""
    source = source_address(world.address)
    return world.address if not source or is_loopback(source) else source


def is_loopback(address: str) -> bool:
    """Whether only this host reaches itself at an address."""
    return address.startswith("127.") or address == "::1"


def interface_of(address: str) -> str:
    """Name of the network card that has an IPv4 address; "" when none has."""
    if not sys.platform.startswith("linux"):
        return ""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            with contextlib.suppress(OSError):
                reply = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
                if socket.inet_ntoa(reply[20:24]) == address:
                    return name
    return ""


def choose_interface(world: World) -> None:
    """Let gloo use the network card that leads to rank 0.

    Left alone it takes the address that the host's own name has, which is 127.0.1.1 on a freshly
    installed Debian or Ubuntu: no other host reaches that.
    """
    if world.size > world.local_size and "GLOO_SOCKET_IFNAME" not in os.environ:
        interface = interface_of(source_address(world.address))
        if interface and interface != "lo":
            os.environ["GLOO_SOCKET_IFNAME"] = interface


def open_store(world: World, wait_s: float) -> Store:
    """The key-value store at rank 0 through which the ranks exchange addresses.

    Args:
        world: this process, with an address of rank 0.
        wait_s: the most seconds that any use of the store waits for another rank.

    Raises:
        DistributedError: the port is taken, rank 0 is elsewhere, or it cannot be reached.
    """
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    master = world.rank == 0 and not world.agent_store
    if master and world.guessed and not _is_own(world.address):
        raise DistributedError(
            f"rank 0 runs on {world.host}, but mpirun runs on {world.address}: the ranks cannot "
            "find each other. Add -x MASTER_ADDR=HOST to the mpirun command, HOST being the first "
            "host of its list."
        )
    options: dict[str, Any] = {"multi_tenant": True} if not world.agent_store else {}
    try:
        store = TCPStore(
            host_name=world.address,
            port=world.port,
            world_size=world.size,
            is_master=master,
            timeout=timedelta(seconds=wait_s),
            wait_for_workers=False,
            **options,
        )
    except (RuntimeError, OSError) as error:  # torch's DistNetworkError is a RuntimeError
        raise _no_store(world, wait_s, master, error) from error
    # Another run that meets this one at the same port by accident shares no keys with it.
    return PrefixStore(f"plainbert/{world.job}/{world.size}", store)


def _no_store(world: World, wait_s: float, master: bool, error: Exception) -> DistributedError:
    """The error to raise when torch could not open the store."""
    text = str(error).casefold()
    if master and ("eaddrinuse" in text or "address already in use" in text):
        return DistributedError(
            f"port {world.port} on {world.host} is taken, perhaps by another run. Choose a free "
            f"one: {_set(world, 'MASTER_PORT=PORT')}."
        )
    return DistributedError(
        f"{world.name} could not reach rank 0 at {world.address}:{world.port} within "
        f"{wait_s:.0f} s. Check that rank 0 was started, that {world.address} is its host "
        f"({_set(world, 'MASTER_ADDR=HOST')} names another) and that no firewall is between them."
    )


def _set(world: World, setting: str) -> str:
    """How a user of this launcher sets a variable."""
    if world.launcher == "mpirun":
        return f"mpirun -x {setting}"
    if world.launcher == "torchrun" and world.job:
        name, _, value = setting.partition("=")
        return f"torchrun --{name.lower().replace('_', '-')} {value}"
    return setting


def _is_own(address: str) -> bool:
    """Whether an address belongs to this host."""
    try:
        family, _, _, _, endpoint = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.bind(endpoint)
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def wait_for_ranks(store: Store, world: World, wait_s: float) -> None:
    """Wait until all ranks have started.

    Args:
        store: the store that all of them use.
        world: this process.
        wait_s: the most seconds to wait.

    Raises:
        DistributedError: some have not; it names them.
    """
    from torch.distributed import DistError

    try:
        store.set(f"here/{world.rank}", json.dumps(world.host))
        keys = {rank: f"here/{rank}" for rank in range(world.size)}
        end = time.monotonic() + wait_s
        while missing := [rank for rank, key in keys.items() if not store.check([key])]:
            if time.monotonic() > end:
                listed = ", ".join(map(str, missing[:8])) + (" ..." if len(missing) > 8 else "")
                raise DistributedError(
                    f"{len(missing)} of {world.size} ranks did not start within {wait_s:.0f} s: "
                    f"rank {listed}. Look for their own messages, and check that every host was "
                    "started with the same number of ranks and the same MASTER_ADDR."
                )
            time.sleep(0.02)
    except DistError as error:
        raise DistributedError(
            f"{world.name} lost rank 0 while the run was starting. Look for the messages of "
            "rank 0, and of the ranks on its host."
        ) from error
