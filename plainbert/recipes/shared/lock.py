"""One run at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from pathlib import Path
from types import ModuleType

from plainbert.errors import UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

log = logging.getLogger(__name__)

LOCK_FILE = ".plainbert.lock"
PATIENCE_S = 1.0  # a process that was killed may take a moment to be gone
_HELD = (errno.EACCES, errno.EAGAIN)


class Lock:
    """The lock of a folder, as its holder sees it; :meth:`take` makes one.

    The lock belongs to the process and not to the file: what a crash leaves is a file that says
    who it was, and holds nobody up. Processes that this one starts do not have it.
    """

    def __init__(self, path: Path, handle: int | None) -> None:
        self._path, self._handle = path, handle

    @classmethod
    def take(cls, folder: Path) -> Lock:
        """Lock a folder; where the disk has no locks, a warning says so and nothing is locked.

        Raises:
            UsageError: another process has it; the message names that.
        """
        path = folder / LOCK_FILE
        end = time.monotonic() + PATIENCE_S
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle)
            except OSError as error:
                holder = os.read(handle, 1000).decode(errors="replace")
                os.close(handle)
                if error.errno not in _HELD:
                    log.warning(
                        "%s cannot be locked (%s): see to it that no other run writes there.",
                        folder,
                        error.strerror,
                    )
                    path.unlink(missing_ok=True)
                    return cls(path, None)
                if time.monotonic() > end:
                    raise UsageError(
                        f"{folder} is in use by {holder or 'another process'}. Wait until that "
                        "has ended, end it, or name another folder."
                    ) from None
                time.sleep(0.05)
                continue
            if _is_at(path, handle):
                break
            os.close(handle)  # its holder removed it as we opened it
        holder = f"process {os.getpid()} on {socket.gethostname()}, since {_now()}"
        os.ftruncate(handle, 0)
        os.write(handle, holder.encode())
        return cls(path, handle)

    @property
    def is_held(self) -> bool:
        """Whether others are kept out: not on a disk that has no locks."""
        return self._handle is not None

    def release(self) -> None:
        """Unlock; no trace is left."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            if _is_at(self._path, handle):
                with contextlib.suppress(OSError):
                    self._path.unlink()
            os.close(handle)


def _lock(handle: int) -> None:
    """Lock the whole of a file for this process.

    Raises:
        OSError: EACCES or EAGAIN: another process has it; else: there are no locks here.
    """
    if fcntl is None:
        raise OSError(errno.ENOLCK, "this system has no POSIX locks")
    # POSIX's locks, not flock's: forked processes do not keep them, and NFS knows them.
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(path: Path, handle: int) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
