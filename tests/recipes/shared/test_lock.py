"""The lock of a run folder: who waits, what a kill leaves, disks that have no locks."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from plainbert.errors import UsageError
from plainbert.recipes.shared import lock
from plainbert.recipes.shared.lock import LOCK_FILE, Lock


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 0.05)


@contextmanager
def another_process(work: Callable[[], object]) -> Iterator[int]:
    """A process that has done something, and lives until the end of the block; its number."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os.write(writes, b"done")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writes)
    try:
        assert os.read(reads, 4) == b"done"
        yield child
    finally:
        os.close(reads)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def refused(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        Lock.take(folder)
    return str(caught.value)


def test_the_second_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    with another_process(lambda: Lock.take(tmp_path)) as child:
        said = refused(tmp_path)
    assert f"{tmp_path} is in use by process {child} on {socket.gethostname()}, since 20" in said
    assert "name another folder" in said
    assert (tmp_path / LOCK_FILE).exists()  # it was killed; that holds nobody up
    Lock.take(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_meanwhile_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 20.0)
    with another_process(lambda: Lock.take(tmp_path)) as child:
        threading.Timer(0.3, lambda: (os.kill(child, signal.SIGKILL), os.waitpid(child, 0))).start()
        Lock.take(tmp_path).release()


def test_processes_that_the_holder_starts_do_not_have_it(tmp_path: Path) -> None:
    held = Lock.take(tmp_path)
    with another_process(lambda: None):  # forked with all open files
        held.release()
        Lock.take(tmp_path).release()
    held = Lock.take(tmp_path)
    with another_process(lambda: refused(tmp_path)):
        pass
    held.release()


def test_no_two_have_it_when_the_file_is_removed_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder removes the file between another's opening and locking of it."""
    first = Lock.take(tmp_path)
    whole, gone = lock._lock, []

    def late(handle: int) -> None:
        if not gone:
            gone.append(True)
            first.release()
            assert not (tmp_path / LOCK_FILE).exists()
        whole(handle)

    monkeypatch.setattr(lock, "_lock", late)
    second = Lock.take(tmp_path)
    assert (tmp_path / LOCK_FILE).exists()
    with another_process(lambda: refused(tmp_path)):
        pass
    second.release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_without_locks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.lockf", none)
    held = Lock.take(tmp_path)
    assert re.search(rf"cannot be locked \({os.strerror(number)}\): see to it that no", caplog.text)
    assert list(tmp_path.iterdir()) == []
    held.release()


def test_a_system_without_posix_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    Lock.take(tmp_path).release()
    assert "this system has no POSIX locks" in caplog.text
