"""The error of a run of several processes, and which of torch's errors mean one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping

from plainbert.errors import PlainBertError

ADVICE = (
    "Start the same command again; run_pretraining.py and finetune_*.py go on from the last "
    "checkpoint with --resume."
)

# Of gloo, NCCL and torch's store. gloo raises bare RuntimeErrors, so their text must do.
_PHRASES = (
    "gloo/",
    "gloo connect",
    "nccl",
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "broken pipe",
    "timed out waiting",
    "application timeout",
    "no route to host",
    "network is unreachable",
    "socket timeout",
    "wait timeout",
    "the client socket",
    "recvvalue failed",
    "sendbytes failed",
    "failed to recv",
    "failed to send",
)


class DistributedError(PlainBertError, RuntimeError):
    """The processes of a run could not be brought together, or one of them was lost.

    Args:
        message: which rank on which host, why, and what to do.
        secondary: True where another rank is to blame, and reports its own error.
    """

    def __init__(self, message: str, secondary: bool = False) -> None:
        super().__init__(message)
        self.secondary = secondary


def is_communication(error: BaseException) -> bool:
    """Whether an error, or what it came from, is about the exchange with other processes."""
    if not isinstance(error, Exception) or isinstance(error, PlainBertError):
        return False
    visited: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in visited:
        visited.add(id(cause))
        if type(cause).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError"):
            return True
        if isinstance(cause, RuntimeError) and not isinstance(cause, PlainBertError):
            text = str(cause).casefold()
            if any(phrase in text for phrase in _PHRASES):
                return True
        cause = cause.__cause__ or cause.__context__
    return False


def is_timeout(error: BaseException) -> bool:
    """Whether a communication error says that nothing came for too long."""
    text = str(error).casefold()
    return any(phrase in text for phrase in ("timed out", "timeout", "time-out"))


def first_line(error: BaseException, width: int = 300) -> str:
    """An error in short: its class and first line, or the message if it was written for users.

    Args:
        error: the error.
        width: the most letters of the result; a longer one ends in three dots.
    """
    text = " ".join(str(error).split("\n")[0].split())
    if isinstance(error, PlainBertError):  # often several lines
        text = str(error)
    elif isinstance(error, KeyboardInterrupt):
        text = "interrupted"
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= width else f"{text[: width - 3]}..."


def how_it_ended(status: int) -> str:
    """Words for a negative (signal) or positive exit status, as ``subprocess`` counts them."""
    if status >= 0:
        return f"ended with exit status {status}"
    reasons = {
        int(signal.SIGKILL): "killed, perhaps for using too much memory",
        int(signal.SIGTERM): "told to end",
        int(signal.SIGSEGV): "crashed",
        int(signal.SIGBUS): "crashed",
        int(signal.SIGABRT): "aborted",
    }
    reason = reasons.get(-status)
    return f"was ended by signal {-status}" + (f" ({reason})" if reason else "")


def write_report(message: str, env: Mapping[str, str] | None = None) -> None:
    """Leave this rank's own error where the launcher that started it looks for one.

    torchrun names a file in ``TORCHELASTIC_ERROR_FILE`` and shows what the first rank to fail wrote
    there. Only the rank at fault writes one.

    Args:
        message: the error in words.
        env: variables that may name the file; those of this process when None.
    """
    path = (os.environ if env is None else env).get("TORCHELASTIC_ERROR_FILE")
    if not path:
        return
    extra = {"py_callstack": message, "timestamp": str(int(time.time()))}
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"message": {"message": message, "extraInfo": extra}}, file)
    except OSError:
        pass  # the message also went to standard error
