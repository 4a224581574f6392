"""What is done to a command that writes: killed, on a full disk, started twice."""

from __future__ import annotations

import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from plainbert.recipes.shared.lock import LOCK_FILE
from tests.drill.child import Ended
from tests.drill.judge import Bench, Fault, shortened
from tests.helpers import kills

PATIENCE = 4.0  # seconds
MESSAGES = 4096  # bytes: what a command prints goes to a file here, which must have room
Work = Callable[[], object]


def kill(bench: Bench, draw: random.Random) -> str:
    """Kill a command up to three times, at exact or at random moments; then go on."""
    older = bench.command.overwrites and draw.random() < 0.6
    place = bench.prepare(older)
    more = bench.first_words(older)
    exact = draw.random() < 0.6
    for _ in range(draw.choice((1, 1, 2, 3))):
        if exact:
            number = draw.randint(1, changes(bench, older))
            ended = bench.start(place, *more, around=_before(place, number)).end()
        else:
            ended = _at_random(bench, place, more, draw)
        if not ended.is_killed:
            break
        state = bench.state(place, older)
        if bench.command.resumes and place.joinpath(bench.command.output).exists():
            more = ["--resume"]
    if ended.status is None or not (ended.is_killed or ended.is_done or ended.is_refused):
        raise Fault(shortened(ended))
    state = bench.state(place, older)
    return f"killed: {state}, {bench.follow(place, older)}"


def every(bench: Bench, older: bool, number: int) -> str | None:
    """Kill a command before one change of a file; None when there are fewer."""
    place = bench.prepare(older)
    ended = bench.start(place, *bench.first_words(older), around=_before(place, number)).end()
    if ended.is_done:
        return None
    if not ended.is_killed:
        raise Fault(shortened(ended))
    state = bench.state(place, older)
    return f"killed: {state}, {bench.follow(place, older)}"


def full(bench: Bench, draw: random.Random) -> str:
    """Let the disk be full, or files no longer than so much; then there is room again."""
    older = bench.command.overwrites and draw.random() < 0.6
    sizes = [len(data) for data in bench.sets["new"].values()]
    if draw.random() < 0.5:
        with _small_disk(bench.root / "disk") as disk:
            if disk is not None:
                return _on_small_disk(bench, older, disk, draw.randint(0, sum(sizes) + 8192))
    place = bench.prepare(older)
    limit = draw.randint(MESSAGES, max(2 * MESSAGES, *sizes))

    def around(work: Work) -> None:
        sys.dont_write_bytecode = True  # it would leave half a .pyc
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        work()

    ended = bench.start(place, *bench.first_words(older), around=around).end()
    return f"short files: {_after_full(bench, older, place, ended)}"


def twice(bench: Bench, draw: random.Random) -> str:
    """Start a command where another one works: refused while that lives, or whole in turn."""
    older = bench.command.overwrites and draw.random() < 0.5
    more = bench.first_words(older)
    number = draw.randint(1, changes(bench, older))
    place = bench.prepare(older)
    first = bench.start(place, *more, around=_before(place, number, signal.SIGSTOP))
    waits = first.stopped()
    holds = waits and any(place.rglob(LOCK_FILE))
    second = bench.start(place, *more, which="old", log="log of the second")
    second.has_ended(PATIENCE)  # else it waits for the few renames that the first is in
    if waits:
        first.go_on()
    ends = {"new": first.end(), "old": second.end()}
    for end in ends.values():
        if not (end.is_done or end.is_refused):
            raise Fault(f"two at once: {shortened(end)}")
    if holds and bench.command.locks and not ends["old"].is_refused:
        raise Fault("the second was not refused while the first lived")
    results = [which for which, end in ends.items() if end.is_done]
    if not results:
        raise Fault("both were refused: " + "\n".join(map(shortened, ends.values())))
    content = bench.command.content(place)
    if all(content != bench.sets[which] for which in results):
        raise Fault(f"two at once leave a mixture, after {results}: {[*content]}")
    if len(results) == 2:
        return "both, in turn"
    return f"the {'second' if results == ['new'] else 'first'} is refused"


def _before(
    place: Path, number: int | None, by: signal.Signals = signal.SIGKILL, report: int | None = None
) -> Callable[[Work], object]:
    """Stop a command before one of its changes of a file."""

    def tell(count: int) -> None:
        if report is not None:
            os.write(report, str(count).encode())

    return lambda work: kills.counted(work, kills.below(place), number, by, tell)


def changes(bench: Bench, older: bool) -> int:
    """How many changes of files a command makes."""
    if older not in bench.changes:
        place = bench.prepare(older)
        reads, writes = os.pipe()
        around = _before(place, None, report=writes)
        ended = bench.start(place, *bench.first_words(older), around=around).end()
        if not ended.is_done:
            raise Fault(shortened(ended))
        bench.changes[older] = int(os.read(reads, 20))
        os.close(reads)
        os.close(writes)
    return bench.changes[older]


def _at_random(bench: Bench, place: Path, more: list[str], draw: random.Random) -> Ended:
    """Kill a command within the time that it takes."""
    moment = draw.uniform(0, _seconds(bench))
    child = bench.start(place, *more)
    time.sleep(moment)
    child.kill()
    return child.end()


@functools.cache
def _seconds(bench: Bench) -> float:
    """How long a command takes here."""
    place = bench.prepare(False, bench.root / "timed")
    begin = time.monotonic()
    bench.start(place).end()
    return time.monotonic() - begin


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk in memory; None where this user can have none."""
    folder.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=64m", "drill", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], capture_output=True, check=True)


def _on_small_disk(bench: Bench, older: bool, disk: Path, free: int) -> str:
    place = bench.prepare(older, disk / "place")
    used = shutil.disk_usage(disk).used
    _resize(disk, (used + free) // 4096 * 4 + 4)
    ended = bench.start(place, *bench.first_words(older)).end()
    _resize(disk, 64 * 1024)
    return f"full disk: {_after_full(bench, older, place, ended)}"


def _resize(disk: Path, kilobytes: int) -> None:
    words = ["mount", "-o", f"remount,size={kilobytes}k", str(disk)]
    subprocess.run(words, capture_output=True, check=True)


def _after_full(bench: Bench, older: bool, place: Path, ended: Ended) -> str:
    if not (ended.is_done or ended.is_refused):
        raise Fault(f"full disk: {shortened(ended)}")
    state = bench.state(place, older)
    if ended.is_done and state != "whole":
        raise Fault(f"full disk: it says that all is well, and leaves {state}")
    if ended.is_done:
        return "there was room"
    return f"{state}, clear error, {bench.follow(place, older)}"
