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

    Args:
        tensors: dense tensors of any shapes, types and devices.

    Raises:
        TypeError: a tensor is sparse.
    """
    import torch

    messages: list[Tensor] = []
    copies: list[tuple[Tensor, Tensor]] = []  # (tensor, its part of a message)
    small: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in (tensor.detach() for tensor in tensors):
        if tensor.layout is not torch.strided:
            raise TypeError("only dense tensors are exchanged; make the gradient dense first.")
        if tensor.numel() < SMALL:
            small.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        elif tensor.is_contiguous():
            messages.append(tensor)
        else:
            messages.append(tensor.contiguous())
            copies.append((tensor, messages[-1]))
    for alike in small.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        parts = flat.split([tensor.numel() for tensor in alike])
        for tensor, part in zip(alike, parts, strict=True):
            copies.append((tensor, part.view(tensor.shape)))
        if flat.numel():
            messages.append(flat)
    yield messages
    for tensor, part in copies:
        tensor.copy_(part)
