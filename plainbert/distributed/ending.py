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
from plainbert.distributed.lifeline import Lifeline
from plainbert.distributed.peers import Peer, Verdict, describe, names, silence
from plainbert.distributed.watch import Watch
from plainbert.distributed.world import World

VERDICT_S = 2.0  # to learn whose fault it was, after an exchange failed
MORE_S = 3.0  # on top, for a rank that sees less than rank 0, which knows where every rank is
QUIET_S = 3.0  # for the launcher to end this rank, so that not all of them say the same
FIRST_S = 1.0  # for the rank to blame to end before the others: launchers go by that
EXIT_S = 10  # for the interpreter to end after a failure
SEND_S = 0.2  # for a message to leave before its connection closes


class Ending:
    """Ties a rank's end to its watch, and to the launcher.

    Args:
        world: this process.
        timeout_s: the most seconds that an exchange may take.

    Attributes:
        watch: knows, and spreads, which rank is at fault.
    """

    def __init__(self, world: World, timeout_s: float) -> None:
        self.world, self.timeout_s = world, timeout_s
        self.watch = Watch(world, timeout_s, self._last_words)
        self._lifeline = Lifeline(world.lifeline)
        self._failed = False
        self._handles_term = False

    def begin(self) -> None:
        """Handle the end of the process from here on, however it comes."""
        atexit.register(self._at_exit)
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_term)
            self._handles_term = True

    def stop(self) -> None:
        """Leave without a failure: handle nothing any more."""
        atexit.unregister(self._at_exit)
        if self._handles_term and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.watch.verdict is None:
            self._lifeline.release()
        self.watch.stop()

    def fail(self, error: BaseException) -> None:
        """Let the others know that this rank ends with an error, unless it is another's error."""
        if self._failed:
            return
        self._failed = True
        secondary = isinstance(error, DistributedError) and error.secondary
        if secondary:
            self.watch.answered = True
        elif isinstance(error, SystemExit) and error.code in (0, None):
            self.watch.take_blame("left", "")
        else:
            text = first_line(error)
            self.watch.take_blame("error", text)
            if not isinstance(error, KeyboardInterrupt | SystemExit):
                write_report(text)
        if self.world.rank == 0:
            self._let_message_leave()

    def explain(self, error: BaseException | None, exchange: tuple[int, str]) -> DistributedError:
        """The error to raise after an exchange failed.

        Args:
            error: what torch raised; None when the verdict came first.
            exchange: number and name of the exchange.
        """
        verdict = self.watch.wait(VERDICT_S)
        if verdict is None and self.world.rank and not self._behind(exchange):
            verdict = self.watch.wait(MORE_S)
        self.watch.answered = True
        if verdict is not None and self._speaks(verdict):
            time.sleep(FIRST_S)  # if the launcher ends this rank meanwhile, _on_term speaks
        self._failed = True
        if not self._speaks(verdict):
            time.sleep(QUIET_S)
        message = self._why(verdict, error, exchange)
        if verdict is None:  # the others should not have to guess why this rank leaves
            self.watch.take_blame("error", message)
            if self.world.rank == 0:
                self._let_message_leave()
        return DistributedError(message, secondary=True)

    def lost(self) -> DistributedError | None:
        """The error to raise for a rank that was lost while this one closed; None without one."""
        verdict = self.watch.verdict
        if verdict is None:
            return None
        return DistributedError(describe(verdict, self.world), secondary=True)

    def _speaks(self, verdict: Verdict | None) -> bool:
        """Whether this rank prints the verdict: the first rank that is not to blame does."""
        first = 1 if verdict is not None and verdict.rank == 0 else 0
        return verdict is None or self.world.rank == first

    def _behind(self, exchange: tuple[int, str]) -> list[Peer]:
        """Peers that have not come to an exchange."""
        return [peer for peer in self.watch.peers.values() if peer.exchange[0] < exchange[0]]

    def _why(
        self, verdict: Verdict | None, error: BaseException | None, exchange: tuple[int, str]
    ) -> str:
        """The message of the error to raise after an exchange failed."""
        if verdict is not None:
            return describe(verdict, self.world)
        if silent := self.watch.silent():
            now = time.monotonic()
            longest = max(now - peer.heard_at for peer in silent)
            return silence(names(silent, self.world), longest)
        number, name = exchange
        reason = "" if error is None else f" ({first_line(error, 200)})"
        peers = list(self.watch.peers.values())
        if done := [peer for peer in peers if peer.done]:
            return (
                f"{names(done, self.world)} finished before {self.world.name}, which still had an "
                f"exchange to do ({name}): the ranks disagree on how much work there is{reason}."
            )
        if error is not None and is_timeout(error):
            where = "".join(
                f" {names([peer], self.world)} had only come to exchange {peer.exchange[0]} "
                f"({peer.exchange[1] or 'start'})."
                for peer in self._behind(exchange)[:3]
            )
            return (
                f"{self.world.name} waited {self.timeout_s:.0f} s for the others in exchange "
                f"{number} ({name}); all of them are running.{where} Give slow work more time with "
                f"a longer --dist_timeout. {ADVICE}"
            )
        return f"{self.world.name} lost its connection to another rank{reason}. {ADVICE}"

    def _last_words(self, verdict: Verdict) -> None:
        """Print the verdict, as the watch ends a process whose main thread is stuck."""
        if self._speaks(verdict):
            _say(describe(verdict, self.world))

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        """End this rank as the launcher wants; if another rank is the reason, print that."""
        verdict = self.watch.verdict or self.watch.wait(0.5)
        if verdict is None:
            self.watch.take_blame("error", "told to end (signal 15)")
            self._let_message_leave()
        elif self._speaks(verdict) and not self._failed:
            _say(describe(verdict, self.world))
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _at_exit(self) -> None:
        """Let the others know that the interpreter ends though nobody closed the group."""
        if not self._failed:
            self.watch.take_blame("left", "")
            self._let_message_leave()
        # Threads of gloo or NCCL may wait for a rank that is gone; the kernel does not.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(EXIT_S)

    def _let_message_leave(self) -> None:
        time.sleep(min(SEND_S, self.watch.beat_s))


def _say(message: str) -> None:
    """Print from where the usual printing may be in the middle of something."""
    with contextlib.suppress(RuntimeError, OSError, ValueError):
        sys.stderr.flush()
    os.write(2, f"error: {message}\n".encode(errors="backslashreplace"))
