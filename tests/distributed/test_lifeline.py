"""A launcher's and a rank's end of a lifeline inside one process."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from plainbert.distributed.group import Group
from plainbert.distributed.lifeline import Lifeline, Lifelines
from plainbert.distributed.world import LIFELINE, World
from tests.distributed.test_world import OPEN_MPI_4


@pytest.fixture
def lifelines() -> Iterator[Lifelines]:
    with Lifelines("127.0.0.1") as opened:
        yield opened


def broken(lifelines: Lifelines, seconds: float) -> bool:
    """Whether a rank is found to have failed within so long."""
    end = time.monotonic() + seconds
    while not lifelines.broken():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def die(line: Lifeline) -> None:
    """What the kernel does when a process dies."""
    assert line._connection is not None
    line._connection.close()


def test_a_rank_that_dies_is_noticed(lifelines: Lifelines) -> None:
    lines = [Lifeline(lifelines.place) for _ in range(3)]
    assert not broken(lifelines, 0.2)
    die(lines[1])

    assert broken(lifelines, 5)
    assert lifelines.broken()  # and stays so


def test_a_rank_that_is_done_is_no_failure(lifelines: Lifelines) -> None:
    for line in [Lifeline(lifelines.place) for _ in range(3)]:
        line.release()
        line.release()

    assert not broken(lifelines, 0.3)


def test_a_connection_that_is_given_up_on_the_way_is_no_failure(lifelines: Lifelines) -> None:
    line = Lifeline(lifelines.place)
    assert not broken(lifelines, 0.1)
    assert line._connection is not None
    reset_on_close = b"\1\0\0\0\0\0\0\0"
    line._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
    die(line)

    assert not broken(lifelines, 0.3)


@pytest.mark.parametrize("words", [b"", b"x" * 32, b"GET / HTTP/1.1\r\n\r\n", b"x" * 70000])
def test_strangers_are_not_heard(words: bytes, lifelines: Lifelines) -> None:
    address, port, _ = lifelines.place.split(",")
    with socket.create_connection((address, int(port))) as stranger:
        stranger.sendall(words)
    assert not broken(lifelines, 0.3)
    die(Lifeline(lifelines.place))

    assert broken(lifelines, 5)


@pytest.mark.parametrize("place", ["", "nonsense", "127.0.0.1,x,secret", "127.0.0.1,1,secret"])
def test_a_launcher_out_of_reach_does_no_harm(place: str) -> None:
    Lifeline(place).release()


def test_a_rank_holds_its_lifeline_until_it_is_done(lifelines: Lifelines) -> None:
    with socket.create_server(("", 0)) as free:
        port = str(free.getsockname()[1])
    env = {**OPEN_MPI_4, "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    env |= {"OMPI_COMM_WORLD_LOCAL_RANK": "0", "MASTER_PORT": port, LIFELINE: lifelines.place}
    world = World.current(env)
    assert world.lifeline == lifelines.place
    assert lifelines.place not in repr(world)
    group = Group(world)
    with pytest.raises(RuntimeError, match="did not start"):
        group.start("cpu", 5, "gloo", 0.2)
    assert group._ending is not None
    assert not broken(lifelines, 0.1)
    die(group._ending._lifeline)

    assert broken(lifelines, 5)
