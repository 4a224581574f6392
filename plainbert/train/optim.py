"""The optimizers, on torch's fused implementations where there is one.

Weight decay spares biases and layer norms, as in every BERT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from plainbert.errors import CheckpointError, UnknownNameError
from plainbert.train.names import OPTIMIZERS
from plainbert.train.parallel.tensor_shard import TensorShard

# torch divides by 1 - beta ** step: that is exactly 1 here, and a float32 counts no further.
UNCORRECTED = 1e9

Norms = Callable[[list[Tensor]], Iterable[Tensor]]


def decays(parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, nor to the scale and shift of a norm."""
    return parameter.dim() > 1


class Optimizer:
    """An optimizer by name; its state is plain tensors under the parameters' names.

    Args:
        name: one of :data:`plainbert.train.names.OPTIMIZERS`.
        parameters: (name, parameter); those without ``requires_grad`` are left out.
        weight_decay: per step and unit of learning rate.
        epsilon: added to the root of the second moment.
        betas: decay of the first and the second moment.
        owned: names of the parameters to update, when other ranks update the others; all when
            not given.
        norms: norm of each of several tensors; another one than torch's where the parameters are
            shards of larger ones.

    Raises:
        UnknownNameError: there is no such optimizer.

    Source:
        bertadam: GluonNLP v0.7 optimizer/bert_adam.py,
        ``w -= lr * (m / (sqrt(v) + epsilon) + weight_decay * w)``.
    """

    def __init__(
        self,
        name: str,
        parameters: Iterable[tuple[str, nn.Parameter]],
        weight_decay: float = 0.01,
        epsilon: float = 1e-6,
        betas: tuple[float, float] = (0.9, 0.999),
        owned: frozenset[str] | None = None,
        norms: Norms | None = None,
    ) -> None:
        if name not in OPTIMIZERS:
            raise UnknownNameError("optimizer", name, OPTIMIZERS)
        self.name = name
        self.parameters = {
            key: parameter for key, parameter in parameters if parameter.requires_grad
        }
        self.owned = {
            key: parameter
            for key, parameter in self.parameters.items()
            if owned is None or key in owned
        }
        self._buffers: dict[str, Tensor] = {}  # gradients that are kept from step to step
        self._correct = name != "bertadam"
        groups: list[dict[str, Any]] = [
            {
                "params": [
                    parameter for parameter in self.owned.values() if decays(parameter) is decayed
                ],
                "weight_decay": weight_decay if decayed else 0.0,
            }
            for decayed in (True, False)
        ]
        # torch takes no empty group; a rank may own nothing at all, and then needs one.
        groups = [group for group in groups if group["params"]] or groups[:1]
        self._inner: torch.optim.Optimizer
        if name == "sgd":
            self._inner = torch.optim.SGD(groups, lr=0.0, fused=True)
        elif name == "lamb":
            self._inner = Lamb(groups, betas, epsilon, norms)
        else:
            # AdamW takes the decay off the weight first: the same sum as in bertadam's formula.
            kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
            self._inner = kind(groups, lr=0.0, betas=betas, eps=epsilon, fused=True)
        # Now, where torch would wait for the first gradient: a checkpoint is loaded into it before
        # the first step, and has the state of parameters without gradients too.
        for parameter in self.owned.values():
            self._inner.state[parameter] = self._fresh(parameter)

    def step(self, lr: float, divisor: float = 1.0) -> None:
        """Update every parameter that has a gradient, and drop the gradients.

        Args:
            lr: learning rate of this step.
            divisor: all gradients are divided by it first (clipping, loss scale).
        """
        for group in self._inner.param_groups:
            group["lr"] = lr
        self._divide(divisor)
        self._inner.step()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None
        for buffer in self._buffers.values():
            buffer.zero_()

    def gradients(self) -> list[Tensor]:
        """Gradients of all parameters that have one, in a fixed order, sparse ones filled up.

        Filling up means copying into one buffer that is kept: a vocabulary's gradient is so large
        that fresh memory for it, at every step, costs more than the step's matrix products.
        """
        for name, parameter in self.parameters.items():
            if parameter.grad is not None and parameter.grad.is_sparse:
                rows = parameter.grad.coalesce()
                buffer = self.gradient_buffer(name)
                parameter.grad = buffer.index_add_(0, rows.indices()[0], rows.values())
        gradients = [parameter.grad for parameter in self.parameters.values()]
        return [gradient for gradient in gradients if gradient is not None]

    def gradient_buffer(self, name: str) -> Tensor:
        """Where sparse gradients of a parameter are added up; zeros when a step begins."""
        if name not in self._buffers:
            self._buffers[name] = torch.zeros_like(self.parameters[name])
        return self._buffers[name]

    def state(self) -> dict[str, Tensor]:
        """Tensors by ``kind.parameter``, as ``exp_avg.bert...``; shared memory, not copies."""
        return {
            f"{kind}.{name}": tensor
            for name, parameter in self.owned.items()
            for kind, tensor in self._inner.state[parameter].items()
            if isinstance(tensor, Tensor)
        }

    def state_names(self) -> set[str]:
        """Names in the state of all ranks together."""
        kinds = () if self.name == "sgd" else ("step", "exp_avg", "exp_avg_sq")
        return {f"{kind}.{name}" for name in self.parameters for kind in kinds}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put back what :meth:`state` returned.

        Raises:
            CheckpointError: the names or shapes are another optimizer's or another model's.
        """
        own = self.state()
        sizes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        self.check(sizes, {key: TensorShard.whole(tensor) for key, tensor in own.items()})
        with torch.no_grad():
            for key, value in own.items():
                value.copy_(tensors[key])

    def check(self, sizes: Mapping[str, tuple[int, ...]], own: Mapping[str, TensorShard]) -> None:
        """Refuse the state of another optimizer or another model.

        Args:
            sizes: size of every stored tensor, those of other ranks too.
            own: this rank's shards.

        Raises:
            CheckpointError: names or sizes differ.
        """
        wrong = sorted(self.state_names() ^ set(sizes))
        wrong += [key for key in own if key in sizes and own[key].size != sizes[key]]
        if wrong:
            raise CheckpointError(
                f"the training state does not belong to this model and {self.name}: "
                f"{', '.join(wrong[:3])} ({len(wrong)} in all). Resume with the flags of the run."
            )

    def _divide(self, divisor: float) -> None:
        self.gradients()  # fills sparse ones up: torch's fused kernels take none
        grads = [parameter.grad for parameter in self.owned.values()]
        gradients = [grad for grad in grads if grad is not None]
        inner: Any = self._inner
        inner.grad_scale = inner.found_inf = None
        if divisor == 1.0 or not gradients:
            return
        if self.name != "lamb" and all(grad.dtype is torch.float32 for grad in gradients):
            # The fused kernels divide on the way, by a float32, as torch's own GradScaler has them.
            inner.grad_scale = torch.tensor(divisor, device=gradients[0].device)
            inner.found_inf = torch.zeros_like(inner.grad_scale)
        else:
            torch._foreach_mul_(gradients, 1 / divisor)

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        if self.name == "sgd":
            return {}
        return {
            # On the device where torch keeps it: beside the parameter for the fused kernels.
            "step": torch.tensor(0.0 if self._correct else UNCORRECTED, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }


class Lamb(torch.optim.Optimizer):
    """Adam whose update of each parameter is scaled to that parameter's norm.

    Source:
        You et al. 2020, algorithm 2 (arXiv:1904.00962), with phi the identity; where a norm is 0
        the scale is 1.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        betas: tuple[float, float],
        epsilon: float,
        norms: Norms | None = None,
    ) -> None:
        self._norms: Norms = norms or torch._foreach_norm
        super().__init__(groups, {"lr": 0.0, "betas": betas, "eps": epsilon})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            grads = [parameter.grad for parameter in parameters]
            first, second, steps = (
                [self.state[parameter][kind] for parameter in parameters]
                for kind in ("exp_avg", "exp_avg_sq", "step")
            )
            torch._foreach_add_(steps, 1)
            beta1, beta2 = group["betas"]
            torch._foreach_lerp_(first, grads, 1 - beta1)
            torch._foreach_mul_(second, beta2)
            torch._foreach_addcmul_(second, grads, grads, 1 - beta2)
            count = float(steps[0])
            roots = torch._foreach_div(second, 1 - beta2**count)
            torch._foreach_sqrt_(roots)
            torch._foreach_add_(roots, group["eps"])
            updates = torch._foreach_div(first, 1 - beta1**count)
            torch._foreach_div_(updates, roots)
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
            # Weights and updates in one call: with FSDP every call is a message to all ranks.
            sizes = list(self._norms([*parameters, *updates]))
            pairs = zip(sizes[: len(updates)], sizes[len(updates) :], strict=True)
            trust = [torch.where((w > 0) & (u > 0), w / u, 1.0) for w, u in pairs]
            torch._foreach_mul_(updates, trust)
            torch._foreach_add_(parameters, updates, alpha=-group["lr"])
