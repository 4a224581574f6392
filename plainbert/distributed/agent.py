"""torchrun with short messages; ``python -m plainbert.distributed.agent`` takes torchrun's flags.

Starts the ranks of one host, passes their output through, ends them all when one fails, starts
them again as often as ``--max-restarts`` says, and closes with one message: that of the rank at
fault, or how it was ended. torch's launcher does the work; its log and its table of failures are
not shown.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plainbert.distributed.failure import ADVICE, how_it_ended
from plainbert.processes import cores
from plainbert.visible import visible

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

# What a bare torchrun lacks: without the first, ranks that are started again may read addresses of
# ranks that are gone (pytorch issue 135712).
PRIVATE_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
LOG_LEVEL = "TORCH_CPP_LOG_LEVEL"  # "ERROR" hides warnings about missing reverse DNS
_LOGGERS = ("torch.distributed.elastic", "torch.distributed.launcher", "torch.distributed.run")
INTERRUPTED = 128 + signal.SIGINT


def run(argv: Sequence[str], advice: str = ADVICE) -> int:
    """Start the ranks of this host and wait for them.

    Args:
        argv: torchrun's flags, then the script and its own flags.
        advice: what to do after a failure; the last sentence of the message.

    Returns:
        0, the exit status of the rank at fault, or 128 + the signal that ended it or this process.
    """
    os.environ[PRIVATE_STORE] = "1"
    os.environ.setdefault(LOG_LEVEL, "ERROR")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    args = parse_args(list(argv))
    local_ranks = args.nproc_per_node
    if "OMP_NUM_THREADS" not in os.environ and local_ranks.isdigit():
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // int(local_ranks)))
    if args.standalone:
        args.rdzv_backend, args.rdzv_endpoint = "c10d", "localhost:0"
        args.rdzv_id = str(uuid.uuid4())
    if args.master_port is None:
        args.master_port = 29500
    config, command, command_args = config_from_args(args)
    _silence_torch()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        elastic_launch(config=config, entrypoint=command)(*command_args)
    except ChildFailedError as error:
        # Another host may run another number of ranks.
        size = config.nproc_per_node if config.max_nodes == 1 else 0
        status, message = summary(error.failures, size, advice)
        print(visible(message), file=sys.stderr, flush=True)
        return status
    except SignalException as error:
        return 128 + int(error.sigval)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        reason = " ".join(str(error).split("\n")[0].split())
        text = (
            f"error: the ranks on {socket.gethostname()} could not be started, or the other hosts "
            f"were lost: {type(error).__name__}: {reason}"
        )
        print(visible(text), file=sys.stderr)
        return 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return 0


def summary(failures: dict[int, ProcessFailure], size: int, advice: str) -> tuple[int, str]:
    """Exit status and last message for the ranks of this host that failed.

    Ranks that only followed another one's failure leave no report of their own; a signal that the
    launcher did not send, and a report, point at the one to blame.

    Args:
        failures: torch's records of the ranks that failed, by rank.
        size: number of ranks of the whole run; 0 when this host does not know.
        advice: what to do after a failure; the last sentence of the message.
    """

    def order(item: tuple[int, ProcessFailure]) -> tuple[int, int, int]:
        rank, failure = item
        by_signal = failure.exitcode < 0 and -failure.exitcode != signal.SIGTERM
        blame = 0 if by_signal or _report(failure) else 1 if failure.exitcode > 0 else 2
        return blame, failure.timestamp, rank

    rank, failure = min(failures.items(), key=order)
    name = f"rank {rank}{f' of {size}' if size else ''} on {socket.gethostname()}"
    status = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    if failure.exitcode == -signal.SIGTERM:
        # It had made its report, but another rank was quicker to end, with the status of both.
        statuses = [other.exitcode for other in failures.values() if other.exitcode > 0]
        status = min(statuses, default=status)
    if report := _report(failure):
        return status, f"error: {name}: {report}"
    end = how_it_ended(failure.exitcode)
    if failure.exitcode > 0:
        return status, f"error: {name} {end}; its own message is above."
    return status, f"error: {name} {end}. {advice}".rstrip()


def _report(failure: ProcessFailure) -> str:
    """The message that a rank left about its own error; "" when it left none."""
    data = failure.error_file_data.get("message", "")
    if isinstance(data, dict):
        data = data.get("message", "")
    return str(data) if failure.error_file != "<N/A>" else ""


def _silence_torch() -> None:
    """Torch's launcher logs each of its moves; this one says the one thing that matters."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(_LOGGERS):
            logging.getLogger(name).disabled = True


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
