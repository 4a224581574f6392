"""Tells each rank, within a moment, that another one is gone and why.

Collectives do not: they say "connection closed" on some ranks, or nothing until a timeout. So
every rank keeps one TCP connection to rank 0, which the kernel closes with the process, however it
ends. A word goes over it first where there is one to say (an error, a proper end), and a beat every
second, so that a cut network can be told from a busy rank. Rank 0 passes on what it learns. Lines
of JSON; nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import os
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plainbert.distributed.failure import DistributedError
from plainbert.distributed.world import World

LONGEST = 1 << 16  # bytes of one message; a peer that sends more is none of ours
GRACE_S = 5.0  # for the main thread to notice by itself, before the process is ended


@dataclass(frozen=True)
class Verdict:
    """Why the run cannot go on.

    Attributes:
        kind: error, lost, left, silent, launcher.
        rank: who is to blame.
        host: where it ran.
        text: its own message, or how long it has been silent.
    """

    kind: str
    rank: int
    host: str
    text: str = ""


@dataclass
class Peer:
    """The other end of a connection."""

    rank: int
    host: str
    line: socket.socket
    seen: float
    done: bool = False
    at: tuple[int, str] = (0, "")
    data: bytearray = field(default_factory=bytearray)


class Watch:
    """One rank's part.

    Args:
        world: this process.
        timeout_s: silence of a rank after which it counts as lost.
        last_words: called with the verdict when the process must be ended from here.
    """

    def __init__(
        self, world: World, timeout_s: float, last_words: Callable[[Verdict], None]
    ) -> None:
        self.world, self.timeout_s = world, timeout_s
        self.beat_s = min(1.0, timeout_s / 8)
        self.at = (0, "")  # the latest exchange this rank entered; told with each beat
        self.verdict: Verdict | None = None
        self.answered = False  # the main thread knows, and ends by itself
        self.peers: dict[int, Peer] = {}
        self._last_words = last_words
        self._changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._secret = ""
        self._stop = False
        # Orphans of a launcher that was killed would go on beside the run that replaces them.
        self._parent = os.getppid() if world.launcher == "mpirun" or world.job else 0
        self._thread = threading.Thread(target=self._run, name="plainbert-watch", daemon=True)

    def listen(self, address: str) -> str:
        """Rank 0: open the door. Returns what the others need to find it, as JSON."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server(("", 0), family=family, backlog=128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._secret = secrets.token_hex(16)
        self._thread.start()
        return json.dumps([address, self._listener.getsockname()[1], self._secret, self.world.host])

    def connect(self, door: str, wait_s: float) -> None:
        """Other ranks: enter.

        Raises:
            DistributedError: rank 0 cannot be reached.
        """
        address, port, secret, host = json.loads(door)
        try:
            line = socket.create_connection((address, port), timeout=wait_s)
        except OSError as error:
            raise DistributedError(
                f"{self.world.name} cannot reach rank 0 ({host}) at {address}:{port} ({error}). "
                "Processes of one run talk over ports that the system picks: open the firewall "
                "between the hosts for them."
            ) from error
        hello = {"hello": self.world.rank, "host": self.world.host, "secret": secret}
        line.sendall(json.dumps(hello).encode() + b"\n")
        self._add(Peer(0, host, line, time.monotonic()))
        self._thread.start()

    def complete(self, wait_s: float) -> None:
        """Rank 0: wait until every other rank has entered, or ``wait_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.peers) == self.world.size - 1, wait_s)

    def tell(self, kind: str, text: str) -> None:
        """Say that this rank is at fault, unless another one already was."""
        if self.verdict is None:
            if self.world.rank == 0:
                self._judge(Verdict(kind, 0, self.world.host, text))
            else:
                self._send_all({kind: text[: LONGEST // 8]})
        self.answered = True

    def wait(self, seconds: float) -> Verdict | None:
        """The verdict, as soon as there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self.verdict is not None, seconds)
            return self.verdict

    def silent(self) -> list[Peer]:
        """Peers that missed several beats."""
        late = time.monotonic() - max(3 * self.beat_s, 1.0)
        return [peer for peer in self.peers.values() if not peer.done and peer.seen < late]

    def finish(self, wait_s: float) -> None:
        """Say good-bye; rank 0 waits for everybody's, because the others need its store."""
        self._send_all({"bye": True})
        if self.world.rank == 0:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self.verdict is not None or all(peer.done for peer in self.peers.values())
                    ),
                    wait_s,
                )

    def stop(self) -> None:
        """End the thread and the connections; never waits long."""
        self._stop = self.answered = True
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2 * self.beat_s + 1)
        for peer in self.peers.values():
            with contextlib.suppress(OSError):
                peer.line.shutdown(socket.SHUT_WR)
            peer.line.close()
        if self._listener is not None:
            self._listener.close()
        self._selector.close()

    # The thread.

    def _run(self) -> None:
        beat, judged = 0.0, 0.0
        while not self._stop:
            for key, _ in self._selector.select(self.beat_s):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.data)
            now = time.monotonic()
            if now >= beat:
                beat = now + self.beat_s
                self._send_all({"at": self.at})
                self._look_around(now)
            if self.verdict is not None and not self.answered:
                judged = judged or now
                if now - judged > GRACE_S:
                    self._last_words(self.verdict)
                    os._exit(2)

    def _look_around(self, now: float) -> None:
        for peer in list(self.peers.values()):
            if not peer.done and now - peer.seen > self.timeout_s:
                silence = f"{now - peer.seen:.0f} s"
                self._judge(Verdict("silent", peer.rank, peer.host, silence))
        if self._parent and os.getppid() != self._parent:
            self._judge(Verdict("launcher", self.world.rank, self.world.host))

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            line, _ = self._listener.accept()
            line.setblocking(False)
            peer = Peer(-1, "", line, time.monotonic())
            self._selector.register(line, selectors.EVENT_READ, peer)

    def _add(self, peer: Peer) -> None:
        peer.line.setblocking(False)
        peer.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self.peers[peer.rank] = peer
            self._changed.notify_all()
        if peer.line not in self._selector.get_map():
            self._selector.register(peer.line, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.line.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError as error:
            self._forget(peer, gone=error.errno in (errno.ECONNRESET, errno.EPIPE))
            return
        if not data:
            self._forget(peer, gone=True)
            return
        peer.seen = time.monotonic()
        peer.data += data
        *lines, rest = peer.data.split(b"\n")
        peer.data = rest
        for line in lines:
            try:
                self._hear(peer, json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                self._forget(peer, gone=False)
                return
        if len(peer.data) > LONGEST:
            self._forget(peer, gone=False)

    def _hear(self, peer: Peer, said: dict[str, Any]) -> None:
        if peer.rank < 0:  # a stranger until it shows the secret
            rank = int(said["hello"])
            known = hmac.compare_digest(str(said["secret"]), self._secret)
            if not known or not 0 < rank < self.world.size or rank in self.peers:
                raise ValueError
            peer.rank, peer.host = rank, str(said["host"])
            self._add(peer)
        if "at" in said:
            peer.at = (int(said["at"][0]), str(said["at"][1]))
        if "bye" in said:
            with self._changed:
                peer.done = True
                self._changed.notify_all()
        for kind in ("error", "left"):
            if kind in said:
                self._judge(Verdict(kind, peer.rank, peer.host, str(said[kind])))
        if "verdict" in said:
            kind, rank, host, text = said["verdict"]
            self._judge(Verdict(str(kind), int(rank), str(host), str(text)))

    def _forget(self, peer: Peer, gone: bool) -> None:
        self._selector.unregister(peer.line)
        if peer.rank < 0:
            peer.line.close()
        elif gone and not peer.done:
            self._judge(Verdict("lost", peer.rank, peer.host))

    def _judge(self, verdict: Verdict) -> None:
        """The first verdict stands: what follows are its consequences."""
        with self._changed:
            if self.verdict is not None or self._stop:
                return
            self.verdict = verdict
            self._changed.notify_all()
        if self.world.rank == 0:
            about = [verdict.kind, verdict.rank, verdict.host, verdict.text]
            self._send_all({"verdict": about})

    def _send_all(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        for peer in list(self.peers.values()):
            # A full buffer means a dead line: what does not fit would not arrive either.
            with self._changed, contextlib.suppress(OSError):
                peer.line.send(data)
