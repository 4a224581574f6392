"""The choice of a parallel strategy by name."""

from __future__ import annotations

from plainbert.distributed.group import Group
from plainbert.errors import UnknownNameError, UsageError
from plainbert.train.names import DIST_STRATEGIES, GRAD_COMPRESSIONS
from plainbert.train.parallel.ddp import DDP
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.parallel.zero1 import Zero1


def choose_strategy(
    name: str,
    group: Group,
    compression: str = "none",
    per_host: int | None = None,
    reshard: bool = True,
) -> ParallelStrategy:
    """How the ranks of a group share their steps.

    Args:
        name: one of :data:`plainbert.train.names.DIST_STRATEGIES`.
        group: the ranks; a single one shares with nobody.
        compression: of gradients, one of :data:`plainbert.train.names.GRAD_COMPRESSIONS`; ddp and
            zero1 only. See :class:`plainbert.train.parallel.buckets.Buckets` for what it costs.
        per_host: ranks that share one copy of the weights with hsdp; those of a host when not
            given.
        reshard: with fsdp and hsdp, whether a layer's weights are given back after its forward
            pass, and fetched again for the backward pass: less memory, more traffic.

    Raises:
        UnknownNameError: there is no such strategy or compression.
        UsageError: they do not go together.
    """
    if name not in DIST_STRATEGIES:
        raise UnknownNameError("strategy", name, DIST_STRATEGIES)
    if compression not in GRAD_COMPRESSIONS:
        raise UnknownNameError("gradient compression", compression, GRAD_COMPRESSIONS)
    sharded = name in ("fsdp", "hsdp")
    if sharded and compression != "none":
        raise UsageError(
            f"--grad_compression {compression} works with --dist_strategy ddp and zero1, not with "
            f"{name}."
        )
    if group.size == 1:
        return ALONE
    if not sharded:
        return (DDP if name == "ddp" else Zero1)(group, compression)
    # Here and not above: what it imports of torch takes long, and most runs do without.
    from plainbert.train.parallel.fsdp import FSDP

    if name == "fsdp":
        return FSDP(group, group.size, reshard)
    per_host = _same_on_all_hosts(group) if per_host is None else per_host
    return FSDP(group, per_host, reshard)


def _same_on_all_hosts(group: Group) -> int:
    """Ranks per host.

    Raises:
        UsageError: hosts have different numbers, or ranks are not numbered host by host.
    """
    hosts = group.gather([group.local_rank, group.local_size])
    size = int(hosts[0][1])
    if hosts != [[rank % size, size] for rank in range(group.size)]:
        raise UsageError(
            "--dist_strategy hsdp needs the same number of ranks on every host, numbered host by "
            f"host; there are (local rank, ranks of the host): {hosts}. Start as many on each, or "
            "use fsdp."
        )
    return size
