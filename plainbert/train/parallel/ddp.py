"""Ranks that each hold the whole model: ``ddp`` and ``zero1``; and the choice of a strategy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from plainbert.distributed.group import Group
from plainbert.errors import UnknownNameError, UsageError
from plainbert.train.mixed import Mixed
from plainbert.train.names import DIST_STRATEGIES, GRAD_COMPRESSIONS
from plainbert.train.parallel.buckets import Buckets
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy

SMALL = 32768  # numbers; smaller parameters of one owner travel together


def ranks_for(
    strategy: str,
    group: Group,
    compression: str = "none",
    per_host: int | None = None,
    reshard: bool = True,
) -> ParallelStrategy:
    """How the ranks of a group share their steps.

    Args:
        strategy: one of :data:`plainbert.train.names.DIST_STRATEGIES`.
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
    if strategy not in DIST_STRATEGIES:
        raise UnknownNameError("strategy", strategy, DIST_STRATEGIES)
    if compression not in GRAD_COMPRESSIONS:
        raise UnknownNameError("gradient compression", compression, GRAD_COMPRESSIONS)
    sharded = strategy in ("fsdp", "hsdp")
    if sharded and compression != "none":
        raise UsageError(
            f"--grad_compression {compression} works with --dist_strategy ddp and zero1, not with "
            f"{strategy}."
        )
    if group.size == 1:
        return ALONE
    if not sharded:
        return (Replicated if strategy == "ddp" else Zero1)(group, compression)
    from plainbert.train.parallel.fsdp import Sharded

    if strategy == "fsdp":
        return Sharded(group, group.size, reshard)
    per_host = _same_on_all_hosts(group) if per_host is None else per_host
    return Sharded(group, per_host, reshard)


class Replicated(ParallelStrategy):
    """``ddp``: every rank has all weights and makes the same update from the summed gradients."""

    def __init__(self, group: Group, compression: str = "none") -> None:
        self.group, self.compression = group, compression
        self.rank, self.size = group.rank, group.size
        self._buckets: Buckets | None = None

    @property
    def buckets(self) -> Buckets:
        """The gradients; there once the model is prepared."""
        assert self._buckets is not None, "prepare() comes first"
        return self._buckets

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> Mixed:
        self.release()
        self.group.broadcast([each.detach() for each in model.state_dict().values()])
        self._buckets = Buckets(list(model.parameters()), self.group, self.compression)
        return Mixed(model, dtype)

    def sum(self, tensors: list[Tensor]) -> None:
        if self._buckets is not None:
            self._buckets.flush()  # a rank without some gradient must not overtake the others
        self.group.reduce(tensors)

    def before_forward(self, last: bool) -> None:
        self.buckets.begin(last)

    def sum_gradients(self, gradients: list[Tensor]) -> None:
        self.buckets.finish()

    def norm(self, gradients: list[Tensor]) -> float:
        # A parameter may have its gradient from other ranks only.
        return super().norm(self.buckets.gradients())

    def barrier(self) -> None:
        self.group.barrier()

    def checkpoint_group(self) -> Any:
        return self.group.new_gloo_group()

    def release(self) -> None:
        if self._buckets is not None:
            self._buckets.remove()
            self._buckets = None


class Zero1(Replicated):
    """``zero1``: each rank updates its share of the parameters and sends them to the others.

    Source:
        Rajbhandari et al. 2020, section 5.1 (arXiv:1910.02054): the optimizer's state is cut up,
        weights and gradients are not.
    """

    spread = True

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> Mixed:
        self._messages = [
            message
            for owner, parameters in enumerate(shares(self.parameters(model), self.size))
            for message in _messages(owner, [each for _, each in parameters])
        ]
        return super().prepare(model, dtype)

    def owned(self, names: Iterable[tuple[str, nn.Parameter]]) -> frozenset[str]:
        return frozenset(name for name, _ in shares(names, self.size)[self.rank])

    @torch.no_grad()
    def share_weights(self) -> None:
        from torch.distributed import broadcast

        works: list[tuple[Any, Tensor, list[nn.Parameter]]] = []
        with self.group.exchange("weights"):
            for owner, parameters in self._messages:
                whole = len(parameters) == 1 and parameters[0].is_contiguous()
                flat = (
                    parameters[0].detach()
                    if whole
                    else torch.cat([each.detach().reshape(-1) for each in parameters])
                )
                copies = [] if whole or owner == self.rank else parameters
                works.append((broadcast(flat, owner, async_op=True), flat, copies))
            for work, flat, copies in works:
                work.wait()
                pieces = flat.split([each.numel() for each in copies]) if copies else ()
                for parameter, piece in zip(copies, pieces, strict=True):
                    parameter.copy_(piece.view_as(parameter))


def shares(
    parameters: Iterable[tuple[str, nn.Parameter]], size: int
) -> list[list[tuple[str, nn.Parameter]]]:
    """Deal parameters out to ranks: the largest first, each to the rank with the least so far."""
    found: list[list[tuple[str, nn.Parameter]]] = [[] for _ in range(size)]
    loads = [0] * size
    for name, each in sorted(parameters, key=lambda item: (-item[1].numel(), item[0])):
        rank = loads.index(min(loads))
        found[rank].append((name, each))
        loads[rank] += each.numel()
    return found


def _messages(owner: int, parameters: list[nn.Parameter]) -> list[tuple[int, list[nn.Parameter]]]:
    """What an owner sends at once: large parameters alone, small ones of a type together."""
    trained = [each for each in parameters if each.requires_grad]
    alone = [[each] for each in trained if each.numel() >= SMALL]
    small: dict[torch.dtype, list[nn.Parameter]] = {}
    for each in trained:
        if each.numel() < SMALL:
            small.setdefault(each.dtype, []).append(each)
    return [(owner, message) for message in (*alone, *small.values())]


def _same_on_all_hosts(group: Group) -> int:
    """Ranks per host.

    Raises:
        UsageError: hosts have different numbers, or ranks are not numbered host by host.
    """
    found = group.gather([group.local_rank, group.local_size])
    size = int(found[0][1])
    if found != [[rank % size, size] for rank in range(group.size)]:
        raise UsageError(
            "--dist_strategy hsdp needs the same number of ranks on every host, numbered host by "
            f"host; there are (local rank, ranks of the host): {found}. Start as many on each, or "
            "use fsdp."
        )
    return size
