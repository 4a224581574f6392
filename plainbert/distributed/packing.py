"""Many tensors as few messages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SMALL = 32768  # numbers; smaller tensors travel together


@contextlib.contextmanager
def packed(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Few contiguous messages that hold all tensors; what arrives in them is copied back.

    Large tensors travel as they are; small ones of one type and device lie end to end.
    """
    import torch

    messages: list[Tensor] = []
    copies: list[tuple[Tensor, Tensor]] = []  # (tensor, where it lies in a message)
    together: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for each in tensors:
        if each.layout is not torch.strided:
            raise TypeError("only dense tensors are exchanged; make the gradient dense first.")
        tensor = each.detach()
        if tensor.numel() < SMALL:
            together.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        elif tensor.is_contiguous():
            messages.append(tensor)
        else:
            messages.append(tensor.contiguous())
            copies.append((tensor, messages[-1]))
    for several in together.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in several])
        parts = flat.split([tensor.numel() for tensor in several])
        for tensor, part in zip(several, parts, strict=True):
            copies.append((tensor, part.view(tensor.shape)))
        if flat.numel():
            messages.append(flat)
    yield messages
    for tensor, part in copies:
        tensor.copy_(part)
