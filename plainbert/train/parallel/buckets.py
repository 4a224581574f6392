"""Sums of gradients over ranks, sent in large pieces while the backward pass still runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from plainbert.distributed.group import Group

BYTES = 25 << 20  # of a bucket; a larger parameter has one of its own

# What numbers are sent as; None: as they are.
SENT_AS = {"none": None, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass
class Bucket:
    """Some parameters whose gradients travel together.

    Attributes:
        parameters: in the order in which backward passes usually reach them.
        flat: their gradients end to end, then one number for each: how many ranks have one.
        views: of ``flat``, one in the shape of each parameter.
        missing: indices of parameters whose gradient is not there yet in this step.
        sent: what travels: ``flat``, or its 16-bit copy.
        work: the exchange, once it has begun.
    """

    parameters: list[nn.Parameter]
    flat: Tensor
    views: list[Tensor]
    missing: set[int] = field(default_factory=set)
    waiting: int = 0  # for gradients of the last backward pass
    sent: Tensor | None = None
    work: Any = None

    @classmethod
    def of(cls, parameters: list[nn.Parameter]) -> Bucket:
        """A bucket with its memory."""
        sizes = [parameter.numel() for parameter in parameters]
        first = parameters[0]
        flat = torch.zeros(sum(sizes) + len(sizes), dtype=first.dtype, device=first.device)
        pieces = flat[: sum(sizes)].split(sizes)
        views = [piece.view_as(like) for piece, like in zip(pieces, parameters, strict=True)]
        return cls(parameters, flat, views, set(range(len(parameters))))

    @property
    def present(self) -> Tensor:
        """For each parameter, the number of ranks that have a gradient; a view."""
        return self.flat[-len(self.parameters) :]


class Buckets:
    """The gradients of a model, summed over ranks once per optimizer step.

    Gradients are accumulated in the buckets' memory. Buckets are sent in the same order on every
    rank, each as soon as the last backward pass has filled it and those before it are on their
    way. A parameter without a gradient on this rank counts as 0; without one on any rank, it stays
    without.

    Args:
        parameters: of the model, in its order; those without ``requires_grad`` are left out.
        group: the ranks.
        compression: type of the numbers sent. "none" is exact. "fp16" rounds each rank's gradient
            and every partial sum to 11 significant bits, loses what is below 6e-8 and overflows
            above 65504 (such a step is skipped); "bf16" rounds to 8 bits and keeps float32's range.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], group: Group, compression: str = "none"
    ) -> None:
        self.group, self._sent_as = group, SENT_AS[compression]
        self.buckets = [Bucket.of(neighbours) for neighbours in split(parameters)]
        self._last = False
        self._next = 0  # bucket to be sent
        self._handles = [
            parameter.register_post_accumulate_grad_hook(self._hook(bucket, place))
            for bucket in self.buckets
            for place, parameter in enumerate(bucket.parameters)
        ]

    def begin(self, last: bool) -> None:
        """A micro-batch begins; after the ``last`` one, gradients may be sent."""
        self._last = last
        for bucket in self.buckets:
            bucket.waiting = len(bucket.parameters)

    def finish(self) -> None:
        """Send what is left, wait for the sums, and put them in place."""
        self._last = True
        self.flush()
        with self.group.exchange("gradients"):
            for bucket in self.buckets:
                bucket.work.wait()
        for bucket in self.buckets:
            if bucket.sent is not None and bucket.sent is not bucket.flat:
                bucket.flat.copy_(bucket.sent)
            # What this rank has, some rank has: only for the others must it look, which on a GPU
            # waits for all that is under way.
            counts = bucket.present.tolist() if bucket.missing else []
            for place, parameter in enumerate(bucket.parameters):
                here = place not in bucket.missing or counts[place] > 0
                parameter.grad = bucket.views[place] if here else None
            bucket.missing = set(range(len(bucket.parameters)))
            bucket.sent = bucket.work = None
        self._last, self._next = False, 0

    def flush(self) -> None:
        """After the last backward pass, send what is left: other messages come behind."""
        while self._last and self._next < len(self.buckets):
            self._send(self.buckets[self._next])
            self._next += 1

    def gradients(self) -> list[Tensor]:
        """The sums, after :meth:`finish`; the same list on every rank."""
        grads = [parameter.grad for bucket in self.buckets for parameter in bucket.parameters]
        return [grad for grad in grads if grad is not None]

    def remove(self) -> None:
        """Leave the parameters alone from now on."""
        for handle in self._handles:
            handle.remove()

    def _hook(self, bucket: Bucket, place: int) -> Any:
        view = bucket.views[place]

        def arrived(parameter: Tensor) -> None:
            # The first of a step is autograd's own memory; the next ones are added to the view.
            if parameter.grad is not view:
                assert parameter.grad is not None
                view.copy_(parameter.grad)
                parameter.grad = view
            bucket.missing.discard(place)
            bucket.waiting -= 1
            # Before the last micro-batch the sums are not complete: sending would be in vain.
            if self._last:
                self._send_ready()

        return arrived

    def _send_ready(self) -> None:
        # Collectives are matched by their order, and the order in which gradients arrive may differ
        # between ranks: a full bucket waits for those before it.
        while self._next < len(self.buckets) and self.buckets[self._next].waiting == 0:
            self._send(self.buckets[self._next])
            self._next += 1

    def _send(self, bucket: Bucket) -> None:
        from torch.distributed import all_reduce

        # The counts travel behind the gradients: a rank that lacks one learns, from the same
        # message, whether others have it.
        bucket.present.fill_(1)
        for place in bucket.missing:
            bucket.views[place].zero_()
            bucket.present[place] = 0
        bucket.sent = bucket.flat if self._sent_as is None else bucket.flat.to(self._sent_as)
        bucket.work = all_reduce(bucket.sent, async_op=True)


def split(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters in backward order, cut into lists of one type and at most ``BYTES``."""
    lists: list[list[nn.Parameter]] = []
    size = 0
    for parameter in reversed([parameter for parameter in parameters if parameter.requires_grad]):
        last = lists[-1][0] if lists else None
        same = last is not None and (last.dtype, last.device) == (parameter.dtype, parameter.device)
        if not same or size + parameter.numel() * parameter.itemsize > BYTES:
            lists.append([])
            size = 0
        lists[-1].append(parameter)
        size += parameter.numel() * parameter.itemsize
    return lists
