"""A script that starts its own ranks: ``--num_local_ranks 2``, ``--gpus 0,1``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from plainbert.distributed.failure import ADVICE, DistributedError
from plainbert.distributed.world import World


def spawn(
    count: int,
    argv: Sequence[str] | None = None,
    gpus: Sequence[int] | None = None,
    max_restarts: int = 0,
    advice: str = ADVICE,
) -> int:
    """Run a script again as several ranks on this host, and wait.

    The ranks find the variables of torchrun set, so that ``World.current()`` tells them apart and
    they do not start ranks of their own. Their output passes through; Ctrl-C and SIGTERM end them.

    Args:
        count: number of ranks.
        argv: the script and its flags; this process's own when None.
        gpus: the GPUs that the ranks see, in their order, as indices among those visible to this
            process; all of these when None.
        max_restarts: how often the ranks are started again after one was lost.
        advice: what to do after a failure; the last sentence of the message.

    Returns:
        the exit status for this process.

    Raises:
        DistributedError: this process is itself a rank, or ``count`` is not positive.
    """
    from plainbert.distributed import agent

    if count < 1:
        raise DistributedError(f"{count} ranks were asked for: at least 1.")
    if World.current().launcher != "single":
        raise DistributedError(
            "a launcher started this process as one of its ranks; it cannot start ranks of its "
            "own. Leave --num_local_ranks out, or start the script without the launcher."
        )
    command = list(sys.argv if argv is None else argv)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    flags = ["--standalone", f"--nproc-per-node={count}", f"--max-restarts={max_restarts}"]
    return agent.run([*flags, *command], advice)


def visible(gpus: Sequence[int], current: str | None) -> str:
    """The value of CUDA_VISIBLE_DEVICES that shows some of the GPUs visible so far.

    Args:
        gpus: indices of the GPUs to show, in order, among those visible so far.
        current: the variable's present value; None when it is not set.

    Raises:
        DistributedError: a GPU is asked for that is not shown, or one is asked for twice.

    Example:
        >>> visible([0, 1], "4,5,6")
        '4,5'
    """
    if len(set(gpus)) != len(gpus):
        raise DistributedError(f"--gpus {','.join(map(str, gpus))} names a GPU twice.")
    if current is None:
        return ",".join(map(str, gpus))
    names = [name.strip() for name in current.split(",") if name.strip()]
    if gpus and max(gpus) >= len(names):
        raise DistributedError(
            f"--gpus {','.join(map(str, gpus))}, but CUDA_VISIBLE_DEVICES={current!r} shows "
            f"{len(names)} GPU(s), numbered from 0."
        )
    return ",".join(names[index] for index in gpus)
