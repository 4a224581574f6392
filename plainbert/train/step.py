"""One optimizer step: micro-batches summed, gradients checked and clipped, weights updated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from plainbert.batching.batch import Batch
from plainbert.errors import PlainBertError
from plainbert.nn.bert import Embeddings
from plainbert.nn.headed import IGNORE, Headed, Loss
from plainbert.train.mixed import Mixed
from plainbert.train.optim import Optimizer

# Adds tensors up over all ranks, in place. One process has nothing to add.
Reduce = Callable[[list[Tensor]], None]
Forward = Callable[[Headed, Batch], Loss]

PATIENCE = 10  # steps in a row without finite gradients, after which a run is given up


class DivergedError(PlainBertError, ArithmeticError):
    """Loss or gradients stayed infinite or undefined; more steps will not help."""


def alone(tensors: list[Tensor]) -> None:
    """The :data:`Reduce` of a single process."""


def forward(model: Headed, batch: Batch) -> Loss:
    """Sum of the losses of a batch, for heads whose loss needs logits and labels only."""
    loss: Loss = model.loss(model(batch.ids, batch.types, batch.layout), batch.labels)  # type: ignore[operator]
    return loss


def num_labels(batch: Batch) -> int:
    """What the loss of a batch is a sum over, known before the forward pass."""
    assert batch.labels is not None
    if batch.labels.is_floating_point():
        return len(batch)
    counts = batch.labels != IGNORE
    return int((counts.any(1) if counts.dim() == 2 else counts).sum())


@dataclass
class Scaler:
    """Keeps float16 gradients away from 0 by a factor on the loss.

    Attributes:
        scale: the factor; 1 means that there is no scaling.
        good: steps since it last changed.

    Source:
        Micikevicius et al. 2018, section 3.2 (arXiv:1710.03740); constants of torch's GradScaler.
    """

    scale: float = 1.0
    good: int = 0

    WINDOW = 2000

    @classmethod
    def of(cls, dtype: torch.dtype) -> Scaler:
        """The scaler that a number format needs."""
        return cls(65536.0) if dtype is torch.float16 else cls()

    def update(self, finite: bool) -> None:
        """Halve after an overflow, double after a long time without one."""
        if self.scale == 1.0 and finite:
            return
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.scale = max(1.0, self.scale / 2)
        elif self.good == self.WINDOW:
            self.scale, self.good = self.scale * 2, 0


@dataclass(frozen=True)
class StepResult:
    """What one step did.

    Attributes:
        loss: mean over the global batch.
        norm: of the gradient, before clipping.
        examples: sequences of this rank.
        tokens: of this rank.
        applied: False when the gradients were not finite and the weights stayed.
    """

    loss: float
    norm: float
    examples: int
    tokens: int
    applied: bool


class Stepper:
    """Applies optimizer steps to a model and counts the ones that failed.

    Args:
        model: in training mode, on its device.
        optimizer: of the model's parameters.
        mixed: the model's 16-bit copies.
        scaler: of the loss.
        max_grad_norm: 0 does not clip.
        seed: of dropout.
        rank: of this process.
        reduce: sum over the ranks.
        forward: the loss of a micro-batch.
    """

    def __init__(
        self,
        model: Headed,
        optimizer: Optimizer,
        mixed: Mixed,
        scaler: Scaler,
        max_grad_norm: float = 1.0,
        seed: int = 0,
        rank: int = 0,
        reduce: Reduce = alone,
        forward: Forward = forward,
    ) -> None:
        self.model, self.optimizer, self.mixed, self.scaler = model, optimizer, mixed, scaler
        self.max_grad_norm = max_grad_norm
        self.seed, self.rank = seed, rank
        self.reduce, self.forward = reduce, forward
        self.failed = 0  # steps in a row
        sparse_words(model, next(model.parameters()).device.type == "cpu")

    def step(self, number: int, batches: Sequence[Batch], lr: float) -> StepResult:
        """One update.

        The losses of all micro-batches and ranks are divided by the count of the whole global
        batch, so the gradient does not depend on how it was cut.

        Args:
            number: updates applied before this one; seeds dropout.
            batches: this rank's micro-batches, none empty.
            lr: learning rate.

        Raises:
            DivergedError: this was the ``PATIENCE``-th step in a row without finite gradients.
        """
        device = next(self.model.parameters()).device
        count = torch.tensor([sum(map(num_labels, batches))], dtype=torch.float64)
        self.reduce([count])
        total = torch.zeros(1, dtype=torch.float64, device=device)
        for micro, batch in enumerate(batches):
            _seed(self.seed, number, micro, self.rank)
            loss = self.forward(self.model, batch)
            (loss.total * (self.scaler.scale / max(1.0, float(count)))).backward()
            total += loss.total.detach()
        gradients = self.optimizer.gradients()
        self.reduce([total, *gradients])
        norm = self._norm(gradients)
        finite = math.isfinite(norm)
        if finite:
            excess = norm / self.max_grad_norm if self.max_grad_norm else 1.0
            self.optimizer.step(lr, self.scaler.scale * max(1.0, excess))
            self.mixed.refresh()
            self.failed = 0
        else:
            self.optimizer.drop_gradients()
            self._count_failure(number, lr)
        self.scaler.update(finite)
        return StepResult(
            loss=float(total) / max(1.0, float(count)),
            norm=norm,
            examples=sum(map(len, batches)),
            tokens=sum(batch.layout.num_tokens for batch in batches),
            applied=finite,
        )

    def _norm(self, gradients: list[Tensor]) -> float:
        """Global norm of the unscaled gradients."""
        if not gradients:
            return 0.0
        parts = torch.stack([each.to(torch.float64) for each in torch._foreach_norm(gradients)])
        return float(torch.linalg.vector_norm(parts)) / self.scaler.scale

    def _count_failure(self, number: int, lr: float) -> None:
        self.failed += 1
        if self.failed >= PATIENCE and self.scaler.scale <= 1.0:
            raise DivergedError(
                f"the gradients were infinite or undefined in {self.failed} steps in a row (up to "
                f"step {number}, learning rate {lr:.3g}). The last checkpoint is unharmed. Resume "
                "with a lower --lr, or with --dtype float32."
            )


def sparse_words(model: nn.Module, on: bool) -> None:
    """Let the word vectors' gradient hold only the rows of the batch, or every row."""
    for module in model.modules():
        if isinstance(module, Embeddings):
            module.sparse = on


def _seed(*numbers: int) -> None:
    """Seed torch from (seed, step, micro-step, rank): no state survives from before."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> np.uint64(1)))
