"""Ranks that each hold a part of every weight: ``fsdp`` and ``hsdp``, on torch's FSDP2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from plainbert.distributed.group import Group
from plainbert.errors import UsageError
from plainbert.nn.bert import Layer
from plainbert.nn.pretraining_heads import Predictions
from plainbert.train.mixed import Mixed
from plainbert.train.parallel.parts import Part
from plainbert.train.parallel.strategy import ParallelStrategy


class Sharded(ParallelStrategy):
    """Weights, gradients and slots cut along their first dimension.

    A layer's weights are put together for its forward pass and again for its backward pass. The
    optimizer sees plain tensors: this rank's parts.

    In 16 bits the weights travel in 16 bits and a layer computes in them altogether, norms and
    residual sums too; between layers, in embeddings and in heads it is float32, and so are the
    weights that are kept and the sums of gradients.

    Args:
        group: the ranks.
        per_copy: neighbouring ranks that hold one copy of the weights between them. Fewer than all
            is ``hsdp``: gradients are summed over the copies too.
        reshard: give a layer's weights back after its forward pass.

    Raises:
        UsageError: ``per_copy`` does not divide the number of ranks.

    Source:
        Zhao et al. 2023 (arXiv:2304.11277); torch.distributed.fsdp.fully_shard.
    """

    spread = True

    def __init__(self, group: Group, per_copy: int, reshard: bool = True) -> None:
        if per_copy < 1 or group.size % per_copy:
            raise UsageError(f"{group.size} ranks cannot be cut into groups of {per_copy}.")
        self.group, self.per_copy, self.reshard = group, per_copy, reshard
        self.rank, self.size = group.rank, group.size
        self._hooks: list[Any] = []
        self._first = True  # micro-batch of a step

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> Mixed:
        self.group.broadcast([each.detach() for each in model.state_dict().values()])
        device, own = next(model.parameters()).device, next(model.parameters()).dtype
        with self.group.exchange("mesh"):
            mesh = self._mesh(device.type)
        self._across = mesh["part"] if mesh.ndim == 2 else mesh
        low = dtype if dtype.itemsize == 2 else None
        policy = MixedPrecisionPolicy(low, own if low else None, own if low else None)
        for module in model.modules():
            if isinstance(module, Layer):
                fully_shard(module, mesh=mesh, reshard_after_forward=self.reshard, mp_policy=policy)
            elif isinstance(module, Predictions) and low:
                self._hooks += _low_head(module, low)
        root = fully_shard(model, mesh=mesh)
        for part in _modules(root):
            # Losses are divided by the counts of all ranks already: gradients only add up.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
            # Padding for ranks without a row is made now, not in the first step: the optimizer's
            # views of the parts would be lost.
            part.unshard()
            part.reshard()
        self._root = root
        self._sharded = {name: cast(DTensor, each) for name, each in model.named_parameters()}
        self._local = {
            name: nn.Parameter(each.to_local().detach(), each.requires_grad)
            for name, each in self._sharded.items()
        }
        return Mixed(model, torch.float32)

    def parameters(self, model: nn.Module) -> list[tuple[str, nn.Parameter]]:
        return list(self._local.items())

    def sum(self, tensors: list[Tensor]) -> None:
        self.group.reduce(tensors)

    def before_forward(self, last: bool) -> None:
        self._root.set_requires_gradient_sync(last)
        self._root.set_is_last_backward(last)
        # With several micro-batches the gradients are whole until the last one. Then the weights
        # may be whole too: they are fetched once.
        self._root.set_reshard_after_backward(last)
        self._keep_layers(not (last and self._first))
        self._first = False

    def sum_gradients(self, gradients: list[Tensor]) -> None:
        """Hand the parts of the sums, which the backward pass has made, to the optimizer."""
        for name, each in self._sharded.items():
            found = each.grad
            self._local[name].grad = None if found is None else cast(DTensor, found).to_local()
            each.grad = None
        self._first = True

    def norm(self, gradients: list[Tensor]) -> float:
        found = [each.grad for each in self._local.values() if each.grad is not None]
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        if found:
            squares = [each.to(torch.float64).square() for each in torch._foreach_norm(found)]
            total += torch.stack(squares).sum()
        self._sum_parts(total, "norm")
        return float(total.sqrt())

    def norms(self, tensors: list[Tensor]) -> Iterable[Tensor]:
        own = [each.to(torch.float64).square() for each in torch._foreach_norm(tensors)]
        squares = torch.stack(own)
        self._sum_parts(squares, "norms")
        return [root.to(each.dtype) for root, each in zip(squares.sqrt(), tensors, strict=True)]

    def barrier(self) -> None:
        self.group.barrier()

    @contextlib.contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
        with self.group.exchange("weights"):
            self._keep_layers(True)
            for part in _modules(self._root):
                part.unshard()
        try:
            yield
        finally:
            for part in _modules(self._root):
                part.reshard()
            self._keep_layers(False)

    def plain(self, model: Any) -> Any:
        kind: Any = next(each for each in type(model).__mro__ if not issubclass(each, FSDPModule))
        with torch.device("meta"):
            fresh = kind(model.config)
        with self.group.exchange("weights"):
            found = {
                name: each.full_tensor() if isinstance(each, DTensor) else each
                for name, each in model.state_dict().items()
            }
        fresh.load_state_dict(found, assign=True)
        return fresh

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        with self.group.exchange("weights"):
            for name, each in model.state_dict().items():
                tensor = each.full_tensor() if isinstance(each, DTensor) else each
                if self.rank == 0:
                    found[name] = tensor.detach().to("cpu")
        return found

    def parts(self, slots: Mapping[str, Tensor]) -> dict[str, Part]:
        return {
            name: self._part(name.partition(".")[2], slot)
            for name, slot in slots.items()
            if slot.dim() == 0 or slot.numel()
        }

    def checkpoint_group(self) -> Any:
        return self.group.new_gloo_group()

    def release(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    @property
    def _device(self) -> torch.device:
        return next(iter(self._local.values())).device

    def _keep_layers(self, keep: bool) -> None:
        """Whether layers stay whole after their forward pass; the root always does."""
        for part in _modules(self._root)[1:]:
            part.set_reshard_after_forward(self.reshard and not keep, recurse=False)

    def _mesh(self, device: str) -> DeviceMesh:
        copies = self.size // self.per_copy
        if copies == 1:
            return init_device_mesh(device, (self.size,), mesh_dim_names=("part",))
        shape = (copies, self.per_copy)
        return init_device_mesh(device, shape, mesh_dim_names=("copy", "part"))

    def _sum_parts(self, tensor: Tensor, name: str) -> None:
        from torch.distributed import all_reduce

        with self.group.exchange(name):
            all_reduce(tensor, group=self._across.get_group())

    def _part(self, name: str, slot: Tensor) -> Part:
        if slot.dim() == 0:
            return Part.whole(slot)
        size = tuple(self._sharded[name].shape)
        # As torch.chunk cuts: pieces of equal length, then a shorter one, then none.
        first = -(-size[0] // self.per_copy) * self._across.get_local_rank()
        return Part(slot, (first, *(0 for _ in size[1:])), size)


def _modules(root: FSDPModule) -> list[FSDPModule]:
    """The root, then the layers."""
    modules = cast(nn.Module, root).modules()
    return [module for module in modules if isinstance(module, FSDPModule)]


def _low_head(head: Predictions, dtype: torch.dtype) -> list[Any]:
    """Let the product with the vocabulary run in 16 bits: its copies live for one forward pass."""

    def before(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        head.low = inputs[1].detach().to(dtype), head.bias.detach().to(dtype)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        head.low = None

    return [head.register_forward_pre_hook(before), head.register_forward_hook(after)]
