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
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from plainbert.distributed.failure import ADVICE, how_it_ended

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

# What a bare torchrun lacks. Without the first, ranks that are started again may read addresses of
# ranks that are gone (pytorch issue 135712). The second hides warnings about missing reverse DNS.
NEEDED = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
ALWAYS = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
_NOISY = (
    "torch.distributed.elastic", "torch.distributed.launcher", "torch.distributed.run",
)  # fmt: skip
INTERRUPTED = 128 + signal.SIGINT


def run(argv: Sequence[str], advice: str = ADVICE) -> int:
    """Start the ranks of this host and wait for them.

    Args:
        argv: torchrun's flags, the script, its flags.
        advice: what to do after a failure; closes the message.

    Returns:
        exit status: 0, that of the rank at fault, or 128 + the signal that ended it or this
        process.
    """
    for name, value in NEEDED.items():
        if name == ALWAYS or name not in os.environ:
            os.environ[name] = value
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    args = parse_args(list(argv))
    per_host = args.nproc_per_node
    if "OMP_NUM_THREADS" not in os.environ and per_host.isdigit():
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // int(per_host)))
    if args.standalone:
        args.rdzv_backend, args.rdzv_endpoint = "c10d", "localhost:0"
        args.rdzv_id = str(uuid.uuid4())
    if args.master_port is None:
        args.master_port = 29500
    config, command, command_args = config_from_args(args)
    _hush()
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        elastic_launch(config=config, entrypoint=command)(*command_args)
    except ChildFailedError as error:
        # Another host may run another number of ranks.
        size = config.nproc_per_node if config.max_nodes == 1 else 0
        status, message = summary(error.failures, size, advice)
        print(message, file=sys.stderr, flush=True)
        return status
    except SignalException as error:
        return 128 + int(error.sigval)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        first = " ".join(str(error).split("\n")[0].split())
        print(
            f"error: the ranks on {socket.gethostname()} could not be started, or the other hosts "
            f"were lost: {type(error).__name__}: {first}",
            file=sys.stderr,
        )
        return 1
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
    return 0


def summary(failures: dict[int, ProcessFailure], size: int, advice: str) -> tuple[int, str]:
    """Exit status and last message for the ranks of this host that failed.

    Ranks that only followed another one's failure leave no report of their own; a signal that the
    launcher did not send, and a report, point at the one to blame.

    Args:
        failures: torch's records, by rank.
        size: number of ranks of the whole run; 0 when this host does not know.
        advice: closes the message.
    """

    def order(item: tuple[int, ProcessFailure]) -> tuple[int, int, int]:
        rank, failure = item
        by_signal = failure.exitcode < 0 and -failure.exitcode != signal.SIGTERM
        blame = 0 if by_signal or _report(failure) else 1 if failure.exitcode > 0 else 2
        return blame, failure.timestamp, rank

    rank, first = min(failures.items(), key=order)
    name = f"rank {rank}{f' of {size}' if size else ''} on {socket.gethostname()}"
    status = first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    if first.exitcode == -signal.SIGTERM:
        # It had made its report, but another rank was quicker to end, with the status of both.
        ended = [each.exitcode for each in failures.values() if each.exitcode > 0]
        status = min(ended, default=status)
    if report := _report(first):
        return status, f"error: {name}: {report}"
    if first.exitcode > 0:
        return status, f"error: {name} {how_it_ended(first.exitcode)}; its own message is above."
    return status, f"error: {name} {how_it_ended(first.exitcode)}. {advice}".rstrip()


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _report(failure: ProcessFailure) -> str:
    """What the rank wrote about its own error; "" without a report."""
    data = failure.error_file_data.get("message", "")
    if isinstance(data, dict):
        data = data.get("message", "")
    return str(data) if failure.error_file != "<N/A>" else ""


def _loggers() -> Iterable[logging.Logger]:
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(_NOISY):
            yield logging.getLogger(name)


def _hush() -> None:
    """Torch's launcher reports each of its moves; ours is to say the one thing that matters."""
    for logger in _loggers():
        logger.disabled = True


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
