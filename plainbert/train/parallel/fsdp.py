"""Ranks that each hold a shard of every weight: ``fsdp`` and ``hsdp``, on torch's FSDP2."""

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
from plainbert.nn.pretraining_heads import PredictionHead
from plainbert.train.parallel.strategy import ParallelStrategy
from plainbert.train.parallel.tensor_shard import TensorShard


class FSDP(ParallelStrategy):
    """Weights, gradients and optimizer state cut along their first dimension.

    A layer's weights are put together for its forward pass and again for its backward pass. The
    optimizer sees plain tensors: this rank's shards.

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

    shards_optimizer = True
    own_precision = True

    def __init__(self, group: Group, per_copy: int, reshard: bool = True) -> None:
        if per_copy < 1 or group.size % per_copy:
            raise UsageError(f"{group.size} ranks cannot be cut into groups of {per_copy}.")
        self.group, self.per_copy, self.reshard = group, per_copy, reshard
        self.rank, self.size = group.rank, group.size
        self._hooks: list[Any] = []
        self._first = True  # micro-batch of a step

    def prepare(self, model: nn.Module, dtype: torch.dtype) -> None:
        self.group.broadcast([tensor.detach() for tensor in model.state_dict().values()])
        device, own = next(model.parameters()).device, next(model.parameters()).dtype
        with self.group.exchange("mesh"):
            mesh = self._mesh(device.type)
        self._across = mesh["shard"] if mesh.ndim == 2 else mesh
        half = dtype if dtype.itemsize == 2 else None
        policy = MixedPrecisionPolicy(half, own if half else None, own if half else None)
        for module in model.modules():
            if isinstance(module, Layer):
                fully_shard(module, mesh=mesh, reshard_after_forward=self.reshard, mp_policy=policy)
            elif isinstance(module, PredictionHead) and half:
                self._hooks += _copies_per_forward(module, half)
        root = fully_shard(model, mesh=mesh)
        for sharded in _fsdp_modules(root):
            # Losses are divided by the counts of all ranks already: gradients only add up.
            sharded.set_gradient_divide_factor(1.0)
            sharded.set_force_sum_reduction_for_comms(True)
            # Padding for ranks without a row is made now, not in the first step: the optimizer's
            # views of the shards would be lost.
            sharded.unshard()
            sharded.reshard()
        self._root = root
        self._sharded = {
            name: cast(DTensor, parameter) for name, parameter in model.named_parameters()
        }
        self._local = {
            name: nn.Parameter(parameter.to_local().detach(), parameter.requires_grad)
            for name, parameter in self._sharded.items()
        }

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
        """Hand the shards of the sums, which the backward pass has computed, to the optimizer."""
        for name, parameter in self._sharded.items():
            grad = parameter.grad
            self._local[name].grad = None if grad is None else cast(DTensor, grad).to_local()
            parameter.grad = None
        self._first = True

    def norm(self, gradients: list[Tensor]) -> float:
        shards = [local.grad for local in self._local.values() if local.grad is not None]
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        if shards:
            squares = [norm.to(torch.float64).square() for norm in torch._foreach_norm(shards)]
            total += torch.stack(squares).sum()
        self._sum_over_shards(total, "norm")
        return float(total.sqrt())

    def norms(self, tensors: list[Tensor]) -> Iterable[Tensor]:
        own = [norm.to(torch.float64).square() for norm in torch._foreach_norm(tensors)]
        squares = torch.stack(own)
        self._sum_over_shards(squares, "norms")
        return [root.to(tensor.dtype) for root, tensor in zip(squares.sqrt(), tensors, strict=True)]

    def barrier(self) -> None:
        self.group.barrier()

    @contextlib.contextmanager
    def whole(self, model: nn.Module) -> Iterator[None]:
        with self.group.exchange("weights"):
            self._keep_layers(True)
            for module in _fsdp_modules(self._root):
                module.unshard()
        try:
            yield
        finally:
            for module in _fsdp_modules(self._root):
                module.reshard()
            self._keep_layers(False)

    def plain(self, model: Any) -> Any:
        # fully_shard put a subclass of its own before the model's class.
        kind: Any = next(base for base in type(model).__mro__ if not issubclass(base, FSDPModule))
        with torch.device("meta"):
            fresh = kind(model.config)
        with self.group.exchange("weights"):
            weights = {
                name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
                for name, tensor in model.state_dict().items()
            }
        fresh.load_state_dict(weights, assign=True)
        return fresh

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        weights: dict[str, Tensor] = {}
        with self.group.exchange("weights"):
            for name, tensor in model.state_dict().items():
                # All ranks take part in putting a tensor together; only rank 0 keeps it.
                full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
                if self.rank == 0:
                    weights[name] = full.detach().to("cpu")
        return weights

    def optimizer_shards(self, state: Mapping[str, Tensor]) -> dict[str, TensorShard]:
        return {
            name: self._shard(name.partition(".")[2], tensor)
            for name, tensor in state.items()
            if tensor.dim() == 0 or tensor.numel()
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
        for module in _fsdp_modules(self._root)[1:]:
            module.set_reshard_after_forward(self.reshard and not keep, recurse=False)

    def _mesh(self, device: str) -> DeviceMesh:
        copies = self.size // self.per_copy
        if copies == 1:
            return init_device_mesh(device, (self.size,), mesh_dim_names=("shard",))
        shape = (copies, self.per_copy)
        return init_device_mesh(device, shape, mesh_dim_names=("copy", "shard"))

    def _sum_over_shards(self, tensor: Tensor, name: str) -> None:
        from torch.distributed import all_reduce

        with self.group.exchange(name):
            all_reduce(tensor, group=self._across.get_group())

    def _shard(self, name: str, tensor: Tensor) -> TensorShard:
        if tensor.dim() == 0:
            return TensorShard.whole(tensor)
        size = tuple(self._sharded[name].shape)
        # As torch.chunk cuts: pieces of equal length, then a shorter one, then none.
        first = -(-size[0] // self.per_copy) * self._across.get_local_rank()
        return TensorShard(tensor, (first, *(0 for _ in size[1:])), size)


def _fsdp_modules(root: FSDPModule) -> list[FSDPModule]:
    """The root, then the layers."""
    modules = cast(nn.Module, root).modules()
    return [module for module in modules if isinstance(module, FSDPModule)]


def _copies_per_forward(head: PredictionHead, dtype: torch.dtype) -> list[Any]:
    """Let the product with the vocabulary run in 16 bits: its copies live for one forward pass."""

    def before(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        head.copy_16_bit = inputs[1].detach().to(dtype), head.bias.detach().to(dtype)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        head.copy_16_bit = None

    return [head.register_forward_pre_hook(before), head.register_forward_hook(after)]
