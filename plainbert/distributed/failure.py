"""The error of a run of several processes, and which of torch's errors mean one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping

from plainbert.errors import PlainBertError

ADVICE = "The same command with --resume goes on from the last checkpoint."

# Words of gloo, NCCL and torch's store. gloo raises bare RuntimeErrors, so their text must do.
_WORDS = (
    "gloo/", "gloo connect", "nccl", "connection closed by peer", "connection reset by peer",
    "connection refused", "broken pipe", "timed out waiting", "application timeout",
    "no route to host", "network is unreachable", "socket timeout", "wait timeout",
    "the client socket", "recvvalue failed", "sendbytes failed", "failed to recv", "failed to send",
)  # fmt: skip


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
    seen: set[int] = set()
    item: BaseException | None = error
    while item is not None and id(item) not in seen:
        seen.add(id(item))
        if type(item).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError"):
            return True
        if isinstance(item, RuntimeError) and not isinstance(item, PlainBertError):
            text = str(item).casefold()
            if any(word in text for word in _WORDS):
                return True
        item = item.__cause__ or item.__context__
    return False


def is_timeout(error: BaseException) -> bool:
    """Whether a communication error says that nothing came for too long."""
    text = str(error).casefold()
    return any(word in text for word in ("timed out", "timeout", "time-out"))


def first_line(error: BaseException, width: int = 300) -> str:
    """What an error says, short: its class is named unless its message is meant for users."""
    text = " ".join(str(error).split("\n")[0].split())
    if isinstance(error, PlainBertError):  # written for users, often on several lines
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
    names = {
        int(signal.SIGKILL): "killed, perhaps for using too much memory",
        int(signal.SIGTERM): "told to end",
        int(signal.SIGSEGV): "crashed",
        int(signal.SIGBUS): "crashed",
        int(signal.SIGABRT): "aborted",
    }
    said = names.get(-status)
    return f"was ended by signal {-status}" + (f" ({said})" if said else "")


def write_report(message: str, env: Mapping[str, str] | None = None) -> None:
    """Leave this rank's own error where the launcher that started it looks for one.

    torchrun names a file in ``TORCHELASTIC_ERROR_FILE`` and shows what the first rank to fail wrote
    there. Only the rank at fault writes one.
    """
    path = (os.environ if env is None else env).get("TORCHELASTIC_ERROR_FILE")
    if not path:
        return
    about = {"py_callstack": message, "timestamp": str(int(time.time()))}
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"message": {"message": message, "extraInfo": about}}, file)
    except OSError:
        pass  # the message also went to standard error
