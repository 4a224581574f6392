"""How the launcher of mpirun learns, by itself, that a rank has failed.

mpirun cannot be left to end a run whose network is cut. It notices a cut by TCP's keep-alive, and
the kernel sends none while something else waits to be acknowledged: once mpirun has told a host out
of reach to end its ranks, because a rank on its own host failed, it waits a quarter of an hour.

So every rank keeps a connection to the launcher, which the kernel closes with the process, however
it ends. A rank that is done says so first. Nothing else is ever sent.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import selectors
import socket
from types import TracebackType
from typing import Self

CONNECT_S = 5.0
_DONE = b"."


class Lifelines:
    """The launcher's ends; use it as a context.

    Args:
        address: of this host, as the other hosts reach it.

    Attributes:
        place: address, port and secret for the ranks' ends.
    """

    def __init__(self, address: str) -> None:
        self._secret = secrets.token_hex(16)
        self._selector = selectors.DefaultSelector()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family, backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._broken = False
        self.place = f"{address},{self._listener.getsockname()[1]},{self._secret}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def broken(self) -> bool:
        """Whether a rank has ended before it was done, so far. Never waits."""
        while ready := self._selector.select(0):
            for key, _ in ready:
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj, key.data)  # type: ignore[arg-type]
        return self._broken

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, bytearray())

    def _read(self, connection: socket.socket, received: bytearray) -> None:
        longest = len(self._secret) + len(_DONE)
        try:
            data = connection.recv(longest + 1)
        except BlockingIOError:
            return
        except OSError:  # something on the way gave the connection up: the rank may live
            data, ended = b"", False
        else:
            ended = not data
        received += data
        if data and len(received) <= longest:
            return
        # A rank that was done sent one byte more; a stranger sent something else.
        if ended and hmac.compare_digest(bytes(received), self._secret.encode()):
            self._broken = True
        self._selector.unregister(connection)
        connection.close()


class Lifeline:
    """A rank's end.

    Args:
        place: the launcher's ``Lifelines.place``; "" without such a launcher.
    """

    def __init__(self, place: str) -> None:
        self._connection: socket.socket | None = None
        # Out of the launcher's reach the run goes on as without one.
        with contextlib.suppress(OSError, ValueError):
            address, port, secret = place.split(",")
            self._connection = socket.create_connection((address, int(port)), CONNECT_S)
            self._connection.sendall(secret.encode())

    def release(self) -> None:
        """Say that this rank is done; its end is no failure then."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.sendall(_DONE)
            self._connection.close()
            self._connection = None
