"""Two ends of a watch inside one process: what each learns of the other, and when."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from plainbert.distributed.peers import Verdict, describe
from plainbert.distributed.watch import Watch
from plainbert.distributed.world import World

Pair = tuple[Watch, Watch]


def world(rank: int, size: int = 2) -> World:
    return World(rank=rank, size=size, local_rank=rank, local_size=size, host=f"h{rank}")


def pair(timeout_s: float) -> Pair:
    hub = Watch(world(0), timeout_s, lambda verdict: None)
    spoke = Watch(world(1), timeout_s, lambda verdict: None)
    spoke.connect(hub.listen("127.0.0.1"), 5)
    hub.complete(5)
    assert list(hub.peers) == [1]
    return hub, spoke


@pytest.fixture
def both() -> Iterator[Pair]:
    watches = pair(30)
    yield watches
    for watch in watches:
        with suppress(KeyError):
            watch.stop()


def break_line(watch: Watch) -> None:
    """What the kernel does when a process dies."""
    for peer in watch.peers.values():
        peer.connection.shutdown(socket.SHUT_RDWR)


def test_a_closed_line_is_a_lost_rank(both: Pair) -> None:
    hub, spoke = both
    spoke._stop = True  # its thread must not speak any more
    start = time.monotonic()
    break_line(spoke)

    assert hub.wait(5) == Verdict("lost", 1, "h1")
    assert time.monotonic() - start < 1


def test_the_others_hear_of_an_error(both: Pair) -> None:
    hub, spoke = both
    spoke.take_blame("error", "a token is missing")

    assert hub.wait(5) == Verdict("error", 1, "h1", "a token is missing")
    assert spoke.wait(5) == hub.verdict  # passed on to all, also to the one who said it


def test_rank_0_tells_its_own(both: Pair) -> None:
    hub, spoke = both
    hub.take_blame("error", "disk")

    assert spoke.wait(5) == Verdict("error", 0, "h0", "disk")


def test_a_good_bye_is_no_loss(both: Pair) -> None:
    hub, spoke = both
    spoke.finish(5)
    hub.finish(5)
    break_line(spoke)

    assert hub.wait(0.5) is None
    assert hub.peers[1].done


def test_the_first_verdict_stands(both: Pair) -> None:
    hub, spoke = both
    spoke.take_blame("error", "first")
    hub.wait(5)
    break_line(spoke)

    assert hub.wait(0.3) == Verdict("error", 1, "h1", "first")


def test_silence_is_noticed_at_the_timeout() -> None:
    hub, spoke = pair(0.8)
    spoke._stop = True  # a frozen process: its line stays open and says nothing
    start = time.monotonic()
    verdict = hub.wait(5)

    assert verdict is not None
    assert (verdict.kind, verdict.rank) == ("silent", 1)
    assert 0.4 < time.monotonic() - start < 3
    for watch in (hub, spoke):
        watch.stop()


def test_beats_keep_the_silence_away(both: Pair) -> None:
    hub, spoke = pair(0.8)

    assert hub.wait(2) is None
    assert spoke.verdict is None
    for watch in (hub, spoke):
        watch.stop()


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"hello": 1, "host": "x", "secret": "guess"}\n',
        b'{"error": "not from a rank"}\n',
        b"[]\n",
        b"\x80\x04\x95pickle\n",
        b"x" * 70000 + b"\n",
        b"",
    ],
)
def test_strangers_are_not_heard(words: bytes) -> None:
    hub = Watch(world(0, size=3), 30, lambda verdict: None)
    address, port, secret, _ = json.loads(hub.listen("127.0.0.1"))
    with socket.create_connection((address, port)) as stranger:
        stranger.sendall(words)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(5)
        with suppress(ConnectionResetError):
            assert stranger.recv(10) == b""  # shown the door

    assert hub.peers == {}
    assert hub.verdict is None
    spoke = Watch(world(1, size=3), 30, lambda verdict: None)
    spoke.connect(json.dumps([address, port, secret, "h0"]), 5)
    end = time.monotonic() + 5
    while not hub.peers and time.monotonic() < end:
        time.sleep(0.01)
    assert list(hub.peers) == [1]
    spoke.stop()
    hub.stop()


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict("lost", 1, "h1"), "rank 1 of 2 on h1 is gone: it was killed"),
        (Verdict("error", 1, "h1", "no disk"), "rank 1 of 2 on h1 ended with an error: no disk"),
        (Verdict("left", 0, "h0"), "rank 0 of 2 on h0 ended before the others were done"),
        (Verdict("silent", 1, "h1", "8 s"), "no word from rank 1 of 2 on h1 for 8 s"),
        (Verdict("launcher", 1, "h1"), "the launcher that started rank 1 of 2 on h1 is gone"),
    ],
)
def test_every_verdict_says_who_why_and_what_to_do(verdict: Verdict, words: str) -> None:
    message = describe(verdict, world(0))

    assert words in message
    assert "--resume" in message
    assert message.count("\n") <= 2
