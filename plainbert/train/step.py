"""One optimizer step: micro-batches summed, gradients checked and clipped, weights updated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plainbert.errors import PlainBertError
from plainbert.infer import compiled
from plainbert.infer.threads import prepare_fork
from plainbert.train.memory import keep_freed
from plainbert.train.module_state import ModuleState
from plainbert.train.objective import Labels, Objective, divided
from plainbert.train.optim import Optimizer

PATIENCE = 10  # steps in a row without finite gradients, after which a run is given up


class DivergedError(PlainBertError, ArithmeticError):
    """Loss or gradients stayed infinite or undefined; more steps will not help."""


@dataclass
class Scaler:
    """Keeps float16 gradients away from 0 by a factor on the loss.

    Attributes:
        scale: the factor.
        good: steps since it last changed.
        active: whether the factor changes; False for number formats that need none.

    Source:
        Micikevicius et al. 2018, section 3.2 (arXiv:1710.03740); constants of torch's GradScaler.
    """

    scale: float = 1.0
    good: int = 0
    active: bool = False

    WINDOW = 2000

    @classmethod
    def of(cls, dtype: torch.dtype) -> Scaler:
        """The scaler that a number format needs."""
        return cls(65536.0, active=True) if dtype is torch.float16 else cls()

    @classmethod
    def stored(cls, fields: dict[str, Any]) -> Scaler:
        """The scaler that a checkpoint has; earlier versions did not note whether it was active."""
        return cls(**{"active": fields["scale"] != 1.0, **fields})

    def going_on_in(self, dtype: torch.dtype) -> Scaler:
        """This scaler, or, where the run had none of the kind, a new one for a number format."""
        fresh = Scaler.of(dtype)
        return self if self.active == fresh.active else fresh

    def update(self, finite: bool) -> None:
        """Halve after an overflow, double after a long time without one."""
        if not self.active:
            return
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.scale = max(1.0, self.scale / 2)
        elif self.good == self.WINDOW:
            self.scale, self.good = self.scale * 2, 0


@dataclass(frozen=True)
class StepResult:
    """What one step did, over all ranks.

    Attributes:
        losses: mean of each loss over the global batch, by name.
        accuracies: share of right predictions, by name, where the objective counts them.
        norm: of the gradient, before clipping.
        examples: sequences.
        tokens: of all sequences.
        applied: False when the gradients were not finite and the weights stayed.
        stop: whether a rank is told to end.
    """

    losses: dict[str, float]
    accuracies: dict[str, float]
    norm: float
    examples: int
    tokens: int
    applied: bool
    stop: bool = False

    @property
    def loss(self) -> float:
        """Sum of the losses."""
        return sum(self.losses.values())


class Stepper:
    """Applies optimizer steps to a model and counts the ones that failed.

    Args:
        modules: the model, in training mode, what training keeps on it, and how processes share
            the step.
        optimizer: of the model's parameters.
        scaler: of the loss.
        max_grad_norm: 0 does not clip.
        seed: of dropout.
        objective: what is minimised.
    """

    def __init__(
        self,
        modules: ModuleState,
        optimizer: Optimizer,
        scaler: Scaler,
        max_grad_norm: float = 1.0,
        seed: int = 0,
        objective: Objective | None = None,
    ) -> None:
        self.modules, self.model, self.ranks = modules, modules.model, modules.ranks
        self.optimizer, self.scaler = optimizer, scaler
        self.max_grad_norm, self.seed = max_grad_norm, seed
        self.objective = objective or Labels()
        prepare_fork()
        self.failed = 0  # steps in a row
        if next(self.model.parameters()).device.type == "cpu":
            keep_freed()
            compiled.keep_few()
            if self.ranks.size == 1:  # several ranks add dense gradients up
                modules.gather_word_gradients(optimizer)

    def step(
        self, number: int, batches: Sequence[Any], lr: float, idle: int = 0, stop: bool = False
    ) -> StepResult:
        """One update.

        The losses of all micro-batches and ranks are divided by the counts of the whole global
        batch, so the gradient does not depend on how it was cut.

        Args:
            number: updates applied before this one; seeds dropout.
            batches: this rank's micro-batches, none empty, as many as every other rank's.
            lr: learning rate.
            idle: so many of them, at the end, only keep the other ranks company: a rank that has
                nothing to do must still take part in what they send each other.
            stop: this rank is told to end after this step; all of them learn it.

        Raises:
            DivergedError: this was the ``PATIENCE``-th step in a row without finite gradients.
        """
        busy = len(batches) - idle
        counts, examples, tokens, stops = self._count(batches[:busy], stop)
        sums = self._sum_losses(number, batches, busy, counts)
        gradients = self.optimizer.gradients()
        self.ranks.sum([sums])
        self.ranks.sum_gradients(gradients)
        # Of the sum: norms of the ranks' own gradients would not add up to it. It is also how a
        # rank learns that another one's gradients are not finite, so that all skip the same steps.
        norm = self.ranks.norm(gradients) / self.scaler.scale
        finite = math.isfinite(norm)
        if finite:
            excess = norm / self.max_grad_norm if self.max_grad_norm else 1.0
            self.optimizer.step(lr, self.scaler.scale * max(1.0, excess))
            self.ranks.share_weights()
            self.modules.refresh()
            self.failed = 0
        else:
            self.optimizer.drop_gradients()
            self._count_failure(number, lr)
        self.scaler.update(finite)
        names, accuracies = self.objective.names, self.objective.accuracies
        means = [
            total / max(1.0, count)
            for total, count in zip(
                sums.tolist(), [*counts, *counts[: len(accuracies)]], strict=True
            )
        ]
        return StepResult(
            losses=dict(zip(names, means, strict=False)),
            accuracies=dict(zip(accuracies, means[len(names) :], strict=True)),
            norm=norm,
            examples=int(examples),
            tokens=int(tokens),
            applied=finite,
            stop=stops > 0,
        )

    def _count(self, batches: Sequence[Any], stop: bool) -> tuple[list[float], float, float, float]:
        """What the losses are divided by; examples and tokens of the global batch; ranks that stop.

        Before any forward pass: each backward pass must already know what its loss is divided by,
        and no rank can tell from its own batches.
        """
        counted = torch.zeros(len(self.objective.names) + 3, dtype=torch.float64)
        for batch in batches:
            own = [*self.objective.counts(batch), len(batch), batch.layout.num_tokens, 0]
            counted += torch.tensor(own, dtype=torch.float64)
        counted[-1] = stop
        self.ranks.sum([counted])
        *counts, examples, tokens, stops = counted.tolist()
        return counts, examples, tokens, stops

    def _sum_losses(
        self, number: int, batches: Sequence[Any], busy: int, counts: list[float]
    ) -> Tensor:
        """Run all micro-batches forward and backward; sums of losses, then of right predictions."""
        kinds = len(self.objective.names) + len(self.objective.accuracies)
        device = next(self.model.parameters()).device
        sums = torch.zeros(kinds, dtype=torch.float64, device=device)
        for micro, batch in enumerate(batches):
            # Anew for every micro-batch: dropout then depends on nothing but the place in the run,
            # and a resumed run draws what the unbroken one drew.
            _seed(self.seed, number, micro, self.ranks.rank)
            self.ranks.before_forward(micro == len(batches) - 1)
            terms = self.objective.sums(self.model, batch)
            # An idle one is run like any other, for what the ranks send each other on the way
            # (weights with fsdp, gradients), and its gradients of 0 change nothing.
            weight = 1.0 if micro < busy else 0.0
            divided(terms.losses, counts, self.scaler.scale * weight).backward()
            if weight:
                with torch.no_grad():
                    for place, value in enumerate((*terms.losses, *terms.hits)):
                        sums[place] += value
        return sums

    def _count_failure(self, number: int, lr: float) -> None:
        self.failed += 1
        if self.failed >= PATIENCE and self.scaler.scale <= 1.0:
            raise DivergedError(
                f"the gradients were infinite or undefined in {self.failed} steps in a row (up to "
                f"step {number}, learning rate {lr:.3g}). The last checkpoint is unharmed. Resume "
                "with a lower --lr, or with --dtype float32."
            )


def _seed(*numbers: int) -> None:
    """Seed torch from (seed, step, micro-step, rank): no state survives from before."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> np.uint64(1)))
