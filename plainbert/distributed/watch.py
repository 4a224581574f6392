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
from typing import Any

from plainbert.distributed.failure import DistributedError
from plainbert.distributed.peers import Peer, Verdict
from plainbert.distributed.world import World

LONGEST = 1 << 16  # bytes of one message; a peer that sends more is none of ours
GRACE_S = 5.0  # for the main thread to notice by itself, before the process is ended


class Watch:
    """One rank's part.

    Args:
        world: this process.
        timeout_s: seconds of silence after which a rank counts as lost.
        last_words: called with the verdict just before the watch itself ends the process.

    Attributes:
        beat_s: seconds between two beats.
        exchange: number and name of the latest exchange that this rank entered, sent with each
            beat.
        verdict: why the run cannot go on; None as long as it can.
        answered: the main thread knows the verdict, and ends by itself.
        peers: the other ends by rank: all ranks for rank 0, rank 0 for all others.
    """

    def __init__(
        self, world: World, timeout_s: float, last_words: Callable[[Verdict], None]
    ) -> None:
        self.world, self.timeout_s = world, timeout_s
        self.beat_s = min(1.0, timeout_s / 8)
        self.exchange = (0, "")
        self.verdict: Verdict | None = None
        self.answered = False
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
        """Let the other ranks connect to this one, rank 0.

        Args:
            address: of this host, as the other hosts reach it.

        Returns:
            the endpoint that the others need for :meth:`connect`, as JSON.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server(("", 0), family=family, backlog=128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._secret = secrets.token_hex(16)
        self._thread.start()
        return json.dumps([address, self._listener.getsockname()[1], self._secret, self.world.host])

    def connect(self, endpoint: str, wait_s: float) -> None:
        """Connect this rank to rank 0.

        Args:
            endpoint: what rank 0's :meth:`listen` returned.
            wait_s: the most seconds to wait for the connection.

        Raises:
            DistributedError: rank 0 cannot be reached.
        """
        address, port, secret, host = json.loads(endpoint)
        try:
            connection = socket.create_connection((address, port), timeout=wait_s)
        except OSError as error:
            raise DistributedError(
                f"{self.world.name} cannot reach rank 0 ({host}) at {address}:{port} ({error}). "
                "Processes of one run talk over ports that the system picks: open the firewall "
                "between the hosts for them."
            ) from error
        hello = {"hello": self.world.rank, "host": self.world.host, "secret": secret}
        connection.sendall(json.dumps(hello).encode() + b"\n")
        self._add(Peer(0, host, connection, time.monotonic()))
        self._thread.start()

    def complete(self, wait_s: float) -> None:
        """Wait, as rank 0, until every other rank has connected, or ``wait_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.peers) == self.world.size - 1, wait_s)

    def take_blame(self, kind: str, text: str) -> None:
        """Let all ranks know that this one is at fault, unless another one already was.

        Args:
            kind: "error" or "left", as in :class:`Verdict`.
            text: this rank's message.
        """
        if self.verdict is None:
            if self.world.rank == 0:
                self._conclude(Verdict(kind, 0, self.world.host, text))
            else:
                self._send_all({kind: text[: LONGEST // 8]})
        self.answered = True

    def wait(self, seconds: float) -> Verdict | None:
        """The verdict as soon as there is one; None when none comes within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.verdict is not None, seconds)
            return self.verdict

    def silent(self) -> list[Peer]:
        """Peers that missed several beats."""
        late = time.monotonic() - max(3 * self.beat_s, 1.0)
        return [peer for peer in self.peers.values() if not peer.done and peer.heard_at < late]

    def finish(self, wait_s: float) -> None:
        """Say good-bye; rank 0, whose store the others need, waits for theirs.

        Args:
            wait_s: the most seconds that rank 0 waits.
        """
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
                peer.connection.shutdown(socket.SHUT_WR)
            peer.connection.close()
        if self._listener is not None:
            self._listener.close()
        self._selector.close()

    # The thread.

    def _run(self) -> None:
        next_beat, concluded_at = 0.0, 0.0
        while not self._stop:
            for key, _ in self._selector.select(self.beat_s):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.data)
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + self.beat_s
                self._send_all({"at": self.exchange})
                self._look_around(now)
            if self.verdict is not None and not self.answered:
                concluded_at = concluded_at or now
                if now - concluded_at > GRACE_S:
                    self._last_words(self.verdict)
                    os._exit(2)

    def _look_around(self, now: float) -> None:
        """Notice peers that are silent, and a launcher that is gone."""
        for peer in list(self.peers.values()):
            if not peer.done and now - peer.heard_at > self.timeout_s:
                silence = f"{now - peer.heard_at:.0f} s"
                self._conclude(Verdict("silent", peer.rank, peer.host, silence))
        if self._parent and os.getppid() != self._parent:
            self._conclude(Verdict("launcher", self.world.rank, self.world.host))

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            peer = Peer(-1, "", connection, time.monotonic())
            self._selector.register(connection, selectors.EVENT_READ, peer)

    def _add(self, peer: Peer) -> None:
        peer.connection.setblocking(False)
        peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self.peers[peer.rank] = peer
            self._changed.notify_all()
        if peer.connection not in self._selector.get_map():
            self._selector.register(peer.connection, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.connection.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError as error:
            self._drop(peer, ended=error.errno in (errno.ECONNRESET, errno.EPIPE))
            return
        if not data:
            self._drop(peer, ended=True)
            return
        peer.heard_at = time.monotonic()
        peer.buffer += data
        *lines, peer.buffer = peer.buffer.split(b"\n")
        for line in lines:
            try:
                self._handle(peer, json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                self._drop(peer, ended=False)
                return
        if len(peer.buffer) > LONGEST:
            self._drop(peer, ended=False)

    def _handle(self, peer: Peer, message: dict[str, Any]) -> None:
        """Take in one line from a peer; any error means that it is none of ours."""
        if peer.rank < 0:  # a stranger until it shows the secret
            rank = int(message["hello"])
            known = hmac.compare_digest(str(message["secret"]), self._secret)
            if not known or not 0 < rank < self.world.size or rank in self.peers:
                raise ValueError
            peer.rank, peer.host = rank, str(message["host"])
            self._add(peer)
        if "at" in message:
            peer.exchange = (int(message["at"][0]), str(message["at"][1]))
        if "bye" in message:
            with self._changed:
                peer.done = True
                self._changed.notify_all()
        for kind in ("error", "left"):
            if kind in message:
                self._conclude(Verdict(kind, peer.rank, peer.host, str(message[kind])))
        if "verdict" in message:
            kind, rank, host, text = message["verdict"]
            self._conclude(Verdict(str(kind), int(rank), str(host), str(text)))

    def _drop(self, peer: Peer, ended: bool) -> None:
        """Listen to a peer no longer; one whose process has ended is lost, unless it was done."""
        self._selector.unregister(peer.connection)
        if peer.rank < 0:
            peer.connection.close()
        elif ended and not peer.done:
            self._conclude(Verdict("lost", peer.rank, peer.host))

    def _conclude(self, verdict: Verdict) -> None:
        """The first verdict stands: what follows are its consequences."""
        with self._changed:
            if self.verdict is not None or self._stop:
                return
            self.verdict = verdict
            self._changed.notify_all()
        if self.world.rank == 0:
            fields = [verdict.kind, verdict.rank, verdict.host, verdict.text]
            self._send_all({"verdict": fields})

    def _send_all(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        for peer in list(self.peers.values()):
            # A full buffer means a dead line: what does not fit would not arrive either.
            with self._changed, contextlib.suppress(OSError):
                peer.connection.send(data)
