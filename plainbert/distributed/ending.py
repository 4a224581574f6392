"""How one rank ends: what it tells the others, what it says itself, and that it does end."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType

from plainbert.distributed.failure import (
    ADVICE,
    DistributedError,
    first_line,
    is_timeout,
    write_report,
)
from plainbert.distributed.watch import Peer, Verdict, Watch
from plainbert.distributed.world import World

VERDICT_S = 2.0  # to hear whose fault it was, after an exchange failed
MORE_S = 3.0  # the same for a rank that sees less than rank 0, which knows where every rank is
QUIET_S = 3.0  # for the launcher to end this rank, so that not all of them say the same
FIRST_S = 1.0  # for the rank to blame to end before the others: launchers go by that
EXIT_S = 10  # for the interpreter to end after a failure


class Ending:
    """Ties a rank's end to its watch.

    Args:
        world: this process.
        timeout_s: of every exchange.
    """

    def __init__(self, world: World, timeout_s: float) -> None:
        self.world, self.timeout_s = world, timeout_s
        self.watch = Watch(world, timeout_s, self._last_words)
        self._failed = False
        self._took_over = False

    def begin(self) -> None:
        """Be there when the process ends, however it does."""
        atexit.register(self._at_exit)
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_term)
            self._took_over = True

    def stop(self) -> None:
        """End in peace."""
        self._release()
        self.watch.stop()

    def fail(self, error: BaseException) -> None:
        """This rank ends with an error: tell the others, unless it is their error."""
        if self._failed:
            return
        self._failed = True
        secondary = isinstance(error, DistributedError) and error.secondary
        if secondary:
            self.watch.answered = True
        elif isinstance(error, SystemExit) and error.code in (0, None):
            self.watch.tell("left", "")
        else:
            text = first_line(error)
            self.watch.tell("error", text)
            if not isinstance(error, KeyboardInterrupt | SystemExit):
                write_report(text)
        if self.world.rank == 0:
            time.sleep(min(0.2, self.watch.beat_s))  # let the word leave before the line closes

    def explain(self, error: BaseException | None, at: tuple[int, str]) -> DistributedError:
        """The error to raise after an exchange failed.

        Args:
            error: what torch raised; None when the verdict came first.
            at: number and name of the exchange.
        """
        verdict = self.watch.wait(VERDICT_S)
        if verdict is None and self.world.rank and not self._behind(at):
            verdict = self.watch.wait(MORE_S)
        self.watch.answered = True
        if verdict is not None and self._speaks(verdict):
            time.sleep(FIRST_S)  # if the launcher ends this rank meanwhile, _on_term speaks
        self._failed = True
        if not self._speaks(verdict):
            time.sleep(QUIET_S)
        message = self._why(verdict, error, at)
        if verdict is None:  # the others should not have to guess why this rank leaves
            self.watch.tell("error", message)
            time.sleep(min(0.2, self.watch.beat_s) if self.world.rank == 0 else 0)
        return DistributedError(message, secondary=True)

    def lost(self) -> DistributedError | None:
        """The error for a rank that was lost while this one closed."""
        verdict = self.watch.verdict
        if verdict is None:
            return None
        return DistributedError(describe(verdict, self.world), secondary=True)

    def _speaks(self, verdict: Verdict | None) -> bool:
        """Whether this rank is the first one that is not to blame."""
        first = 1 if verdict is not None and verdict.rank == 0 else 0
        return verdict is None or self.world.rank == first

    def _behind(self, at: tuple[int, str]) -> list[Peer]:
        """Peers that did not come to an exchange."""
        return [peer for peer in self.watch.peers.values() if peer.at[0] < at[0]]

    def _why(
        self, verdict: Verdict | None, error: BaseException | None, at: tuple[int, str]
    ) -> str:
        if verdict is not None:
            return describe(verdict, self.world)
        if silent := self.watch.silent():
            now = time.monotonic()
            longest = max(now - peer.seen for peer in silent)
            return _cut(_names(silent, self.world), longest)
        said = "" if error is None else f" ({first_line(error, 200)})"
        peers = list(self.watch.peers.values())
        if done := [peer for peer in peers if peer.done]:
            return (
                f"{_names(done, self.world)} finished before {self.world.name}, which still had an "
                f"exchange to do ({at[1]}): the ranks disagree on how much work there is{said}."
            )
        if error is not None and is_timeout(error):
            where = "".join(
                f" {_names([peer], self.world)} had only come to exchange {peer.at[0]} "
                f"({peer.at[1] or 'start'})."
                for peer in self._behind(at)[:3]
            )
            return (
                f"{self.world.name} waited {self.timeout_s:.0f} s for the others in exchange "
                f"{at[0]} ({at[1]}); all of them are running.{where} Give slow work more time with "
                f"a longer --dist_timeout. {ADVICE}"
            )
        return f"{self.world.name} lost its connection to another rank{said}. {ADVICE}"

    def _last_words(self, verdict: Verdict) -> None:
        """The watch ends the process, because the main thread is stuck or does not look."""
        if self._speaks(verdict):
            _say(describe(verdict, self.world))

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        """The launcher (or somebody) ends this rank: say why, if another rank is the reason."""
        verdict = self.watch.verdict or self.watch.wait(0.5)
        if verdict is None:
            self.watch.tell("error", "told to end (signal 15)")
            time.sleep(min(0.2, self.watch.beat_s))
        elif self._speaks(verdict) and not self._failed:
            _say(describe(verdict, self.world))
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _at_exit(self) -> None:
        """The interpreter ends and nobody closed the group."""
        if not self._failed:
            self.watch.tell("left", "")
            time.sleep(min(0.2, self.watch.beat_s))
        # Threads of gloo or NCCL may wait for a rank that is gone; the kernel does not.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(EXIT_S)

    def _release(self) -> None:
        atexit.unregister(self._at_exit)
        if self._took_over and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
        return _cut(name, float(verdict.text.split()[0]))
    if verdict.kind == "launcher":
        return f"the launcher that started {name} is gone, so the rank ends too. {ADVICE}"
    return (
        f"{name} is gone: it was killed (by hand, or for using too much memory) or it crashed. "
        f"{ADVICE}"
    )


def _cut(name: str, seconds: float) -> str:
    return (
        f"no word from {name} for {seconds:.0f} s: the network between the hosts is cut, or the "
        f"process is frozen. {ADVICE}"
    )


def _names(peers: list[Peer], world: World) -> str:
    ranks = ", ".join(str(peer.rank) for peer in peers[:8]) + (" ..." if len(peers) > 8 else "")
    hosts = ", ".join(dict.fromkeys(peer.host for peer in peers))
    return f"rank{'s' if len(peers) > 1 else ''} {ranks} of {world.size} on {hosts}"


def _say(message: str) -> None:
    """Print from where the usual printing may be in the middle of something."""
    with contextlib.suppress(RuntimeError, OSError, ValueError):
        sys.stderr.flush()
    os.write(2, f"error: {message}\n".encode())
