"""``zero1``: each rank keeps the optimizer state of its share of the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from plainbert.train.parallel.ddp import DDP

SMALL = 32768  # numbers; smaller parameters of one owner travel together


class Zero1(DDP):
    """Each rank updates its share of the parameters and sends them to the others.

    Source:
        Rajbhandari et al. 2020, section 5.1 (arXiv:1910.02054): the optimizer's state is cut up,
        weights and gradients are not.
    """

    shards_optimizer = True

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> None:
        self._messages = [
            (owner, message)
            for owner, share in enumerate(shares(self.parameters(model), self.size))
            for message in messages([parameter for _, parameter in share])
        ]
        super().prepare(model, dtype)

    def owned(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> frozenset[str]:
        return frozenset(name for name, _ in shares(parameters, self.size)[self.rank])

    @torch.no_grad()
    def share_weights(self) -> None:
        from torch.distributed import broadcast

        # All messages are under way before the first is waited for. Every rank starts them in the
        # same order, as a group's collectives must be.
        works: list[tuple[Any, Tensor, list[nn.Parameter]]] = []
        with self.group.exchange("weights"):
            for owner, parameters in self._messages:
                # A large parameter arrives where it belongs; small ones are unpacked below.
                in_place = len(parameters) == 1 and parameters[0].is_contiguous()
                flat = (
                    parameters[0].detach()
                    if in_place
                    else torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
                )
                packed = [] if in_place or owner == self.rank else parameters
                works.append((broadcast(flat, owner, async_op=True), flat, packed))
            for work, flat, packed in works:
                work.wait()
                pieces = flat.split([parameter.numel() for parameter in packed]) if packed else ()
                for parameter, piece in zip(packed, pieces, strict=True):
                    parameter.copy_(piece.view_as(parameter))


def shares(
    parameters: Iterable[tuple[str, nn.Parameter]], size: int
) -> list[list[tuple[str, nn.Parameter]]]:
    """Deal parameters out to ranks: the largest first, each to the rank with the least so far.

    The result depends on names and sizes only, so that all ranks agree without a word.
    """
    dealt: list[list[tuple[str, nn.Parameter]]] = [[] for _ in range(size)]
    loads = [0] * size
    for name, parameter in sorted(parameters, key=lambda item: (-item[1].numel(), item[0])):
        rank = loads.index(min(loads))
        dealt[rank].append((name, parameter))
        loads[rank] += parameter.numel()
    return dealt


def messages(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """What an owner sends at once: large parameters alone, small ones of a type together."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    large = [[parameter] for parameter in trained if parameter.numel() >= SMALL]
    small: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in trained:
        if parameter.numel() < SMALL:
            small.setdefault(parameter.dtype, []).append(parameter)
    return [*large, *small.values()]
