"""The same model with other modules in the place of some: faster ones, or such as export better."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar, cast

from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def with_leaves(model: Model, replace: Callable[[nn.Module], nn.Module | None]) -> Model:
    """Copy a model for inference: in evaluation mode, without gradients, with other modules.

    The copy has modules of its own, but its weights are the original's memory.

    Args:
        model: it is not changed.
        replace: takes a module of the copy, whose children were replaced before, and returns what
            stands in its place; None leaves it there.
    """
    # The memo of a deep copy says which tensors are copied already.
    memo: dict[int, Any] = {
        id(weight): nn.Parameter(weight.detach(), requires_grad=False)
        for weight in model.parameters()
    }
    memo |= {id(buffer): buffer for buffer in model.buffers()}
    return cast(Model, _replaced(copy.deepcopy(model, memo), replace)).eval()


def _replaced(module: nn.Module, replace: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    for name, child in list(module.named_children()):
        setattr(module, name, _replaced(child, replace))
    leaf = replace(module)
    return module if leaf is None else leaf
