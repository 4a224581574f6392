"""Kill a program by a real kill -9: before each of its file operations, or at random moments.

The program is a function, called in a fork of this process, so that what it imports is imported
once. What changes files is counted as Python's audit events report it, whoever calls.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

CHANGES = {
    "open", "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "os.truncate",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def before_each_change(
    action: Callable[[], object],
    counts: Callable[[Path], bool],
    prepare: Callable[[], object],
    check: Callable[[int], object],
    moments: int | None = None,
) -> int:
    """Kill an action before its first change of a file, then before its second, and so on.

    A file that is being synced at that moment loses the second half of what it had not synced
    before, as after a power cut.

    Args:
        action: what the child process does.
        counts: whether a change of this path counts; see :func:`below`.
        prepare: makes the state in which every attempt begins.
        check: looks at what a kill has left behind; it is given the number of the change.
        moments: number of changes before which to kill, :func:`some` of them; None: all.

    Returns:
        how many kills there were: the action then ended by itself.
    """
    if moments is not None:
        chosen = some(changes(action, counts, prepare), moments)
        for number in chosen:
            prepare()
            assert not _ended(_forked(partial(counted, action, counts, number)))
            check(number)
        return len(chosen)
    number = 0
    while True:
        number += 1
        prepare()
        if _ended(_forked(partial(counted, action, counts, number))):
            return number - 1
        check(number)


def changes(
    action: Callable[[], object], counts: Callable[[Path], bool], prepare: Callable[[], object]
) -> int:
    """How many changes of files an action makes."""
    prepare()
    reads, writes = os.pipe()

    def report(count: int) -> None:
        os.write(writes, str(count).encode())

    assert _ended(_forked(lambda: counted(action, counts, None, report=report)))
    count = int(os.read(reads, 20))
    os.close(reads)
    os.close(writes)
    return count


def some(count: int, moments: int) -> list[int]:
    """Some of the changes 1 ... count: the first, the last, and more near the end.

    There, results are put in their places.
    """
    if moments >= count:
        return [*range(1, count + 1)]
    return sorted(
        {1, *(max(1, round(count * (n / moments) ** 0.5)) for n in range(1, moments + 1))}
    )


def at_random(
    action: Callable[[], object],
    kills: int,
    draw: random.Random,
    prepare: Callable[[], object],
    check: Callable[[int], object],
) -> None:
    """Kill an action at random moments of its first run's length; processes of its own die too."""
    prepare()
    start = time.monotonic()
    assert _ended(_forked(action))
    seconds, hits = time.monotonic() - start, 0
    while hits < kills:
        prepare()
        child = _forked(action)
        time.sleep(draw.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not _ended(child):
            hits += 1
            check(hits)


def _forked(action: Callable[[], object]) -> int:
    """Start an action in a process, and a group, of its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(child, child)
        return child
    status = 1
    try:
        os.setpgid(0, 0)
        action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _ended(child: int) -> bool:
    """Whether a process came to its end; False when it was killed."""
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert status == 0, f"the action failed: status {status}"
    return True


def below(root: Path) -> Callable[[Path], bool]:
    """Changes of what lies in a folder, at any depth."""
    root = root.resolve()
    return lambda path: root in path.parents


def counted(
    action: Callable[[], object],
    counts: Callable[[Path], bool],
    last: int | None,
    by: signal.Signals = signal.SIGKILL,
    report: Callable[[int], object] = lambda count: None,
) -> None:
    """Run an action until just before a change; for the rest of the life of this process.

    Args:
        action: what changes files.
        counts: whether a change of this path counts.
        last: number of the change; None: none, the action goes on to its end.
        by: what ends this process, or stops it.
        report: called at the end of the action, with how many changes there were.
    """
    count, sync = 0, os.fsync
    synced: dict[int, int] = {}  # bytes by the number of the file

    def step(paths: list[Path], tear: bool = False) -> None:
        nonlocal count
        if not any(map(counts, paths)):
            return
        count += 1
        if count == last:
            if tear and by == signal.SIGKILL and paths[0].is_file():
                now = paths[0].stat()
                before = min(now.st_size, synced.get(now.st_ino, 0))
                os.truncate(paths[0], before + (now.st_size - before) // 2)
            os.kill(os.getpid(), by)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event in CHANGES and (last is None or count < last):
            step(_changed(event, values))

    def fsync(file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        step([_path_of(number)], tear=True)
        sync(file)
        now = os.fstat(number)
        synced[now.st_ino] = now.st_size

    sys.addaudithook(hook)
    os.fsync = fsync
    try:
        action()
    finally:
        report(count)


def _changed(event: str, values: tuple[Any, ...]) -> list[Path]:
    """The files that an event of :data:`CHANGES` changes."""
    if event == "open" and not (isinstance(values[2], int) and values[2] & WRITING):
        return []
    paths = values[:2] if event in ("os.link", "os.rename", "os.symlink") else values[:1]
    # shutil.rmtree names what lies in an open folder.
    folder = values[-1] if event in ("os.remove", "os.rmdir") and values[-1] != -1 else None
    begin = Path.cwd() if folder is None else _path_of(folder)
    return [
        begin / os.fsdecode(path) for path in paths if isinstance(path, str | bytes | os.PathLike)
    ]


def _path_of(number: int) -> Path:
    """The path of an open file."""
    return Path(os.readlink(f"/proc/self/fd/{number}"))
