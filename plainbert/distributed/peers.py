"""What a rank knows of the others, which of them is to blame for a failure, and this in words."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from plainbert.distributed.failure import ADVICE
from plainbert.distributed.world import World


@dataclass(frozen=True)
class Verdict:
    """Why the run cannot go on.

    Attributes:
        kind: "error" (the rank failed and said why), "left" (it ended early, without a reason),
            "lost" (it was killed or crashed), "silent" (nothing came from it for the whole
            timeout), "launcher" (the process that started it is gone).
        rank: the rank to blame.
        host: name of the host on which that rank ran.
        text: that rank's own message for "error"; how long it has been silent for "silent".
    """

    kind: str
    rank: int
    host: str
    text: str = ""


@dataclass
class Peer:
    """The other end of a connection.

    Attributes:
        rank: the other end's rank; -1 until it has shown the secret.
        host: name of its host.
        connection: non-blocking, to it.
        heard_at: when something came from it last, as ``time.monotonic`` counts.
        done: it has said good-bye.
        exchange: number and name of the latest exchange that it entered.
        buffer: what came from it after the last complete line.
    """

    rank: int
    host: str
    connection: socket.socket
    heard_at: float
    done: bool = False
    exchange: tuple[int, str] = (0, "")
    buffer: bytearray = field(default_factory=bytearray)


def describe(verdict: Verdict, world: World) -> str:
    """A verdict in words: which rank on which host, why, what to do."""
    name = f"rank {verdict.rank} of {world.size} on {verdict.host}"
    if verdict.kind == "error":
        return f"{name} ended with an error: {verdict.text}\nNo rank can go on without it. {ADVICE}"
    if verdict.kind == "left":
        return (
            f"{name} ended before the others were done, without saying why. Look for its own "
            f"messages. {ADVICE}"
        )
    if verdict.kind == "silent":
        return silence(name, float(verdict.text.split()[0]))
    if verdict.kind == "launcher":
        return f"the launcher that started {name} is gone, so the rank ends too. {ADVICE}"
    return (
        f"{name} is gone: it was killed (by hand, or for using too much memory) or it crashed. "
        f"{ADVICE}"
    )


def silence(name: str, seconds: float) -> str:
    """The message for a rank that has been silent for so many seconds."""
    return (
        f"no word from {name} for {seconds:.0f} s: the network between the hosts is cut, or the "
        f"process is frozen. {ADVICE}"
    )


def names(peers: list[Peer], world: World) -> str:
    """Ranks and hosts of some peers; at most eight ranks are listed."""
    ranks = ", ".join(str(peer.rank) for peer in peers[:8]) + (" ..." if len(peers) > 8 else "")
    hosts = ", ".join(dict.fromkeys(peer.host for peer in peers))
    return f"rank{'s' if len(peers) > 1 else ''} {ranks} of {world.size} on {hosts}"
