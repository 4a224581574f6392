"""Where a run stands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from plainbert.train.step import Scaler, StepResult


@dataclass
class RunProgress:
    """Everything of a run but weights and optimizer state; the fields are keys of checkpoints.

    Attributes:
        step: optimizer updates applied.
        best: best score so far, None before the first evaluation.
        best_step: step at which the best score was reached.
        waiting: evaluations since the best one.
        losses: sum of each loss, and of each accuracy, over the steps since the last line of the
            log.
        steps: number of those steps, without the ones that were not applied.
        scaler: of float16 losses.
        order: what the order of the data depends on; a resumed run must agree.
        ranks: processes that shared the last step.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    waiting: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    scaler: Scaler = field(default_factory=Scaler)
    order: dict[str, Any] = field(default_factory=dict)
    ranks: int = 1

    def add(self, result: StepResult) -> None:
        """Count a step, and its losses where it was applied."""
        self.step += 1
        if result.applied:
            for name, value in {**result.losses, **result.accuracies}.items():
                self.losses[name] = self.losses.get(name, 0.0) + value
            self.steps += 1

    def means(self) -> dict[str, float]:
        """Mean of each loss and accuracy since the last line of the log; then they begin anew."""
        means = {name: total / self.steps for name, total in self.losses.items()}
        self.losses, self.steps = {}, 0
        return means

    def rate(self, score: float, better: int) -> bool:
        """Take note of an evaluation.

        Args:
            score: of the step that was just made.
            better: +1 when a higher score is better, -1 when a lower one is.

        Returns:
            whether it is the best so far; of equal ones the earliest counts, and one that is not
            a number never is.
        """
        first = self.best is None or math.isnan(self.best)
        best = not math.isnan(score) and (first or better * (score - (self.best or 0.0)) > 0)
        if best:
            self.best, self.best_step = score, self.step
        self.waiting = 0 if best else self.waiting + 1
        return best
