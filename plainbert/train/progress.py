"""Where a run stands."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Any

from plainbert.infer.evaluation import Scores
from plainbert.train.step import DivergedError, Scaler, StepResult

log = logging.getLogger(__name__)


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
        planned: examples, or tokens, of a step as the flags of the last process stated them; None
            where an earlier version wrote the checkpoint.
        skipped: steps that were not applied.
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
    planned: int | None = None
    skipped: int = 0

    def add(self, result: StepResult) -> None:
        """Count a step, and its losses where it was applied."""
        self.step += 1
        if result.applied:
            for name, value in {**result.losses, **result.accuracies}.items():
                self.losses[name] = self.losses.get(name, 0.0) + value
            self.steps += 1
        else:
            self.skipped += 1

    def is_untrained(self, first: int) -> bool:
        """Whether steps were made since step ``first``, and none of them applied."""
        return 0 < self.step - first == self.skipped

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


@dataclass(frozen=True)
class Result:
    """The end of a run.

    Attributes:
        steps: optimizer updates applied in all.
        best: best score, None when nothing was evaluated.
        best_step: step at which the best score was reached.
        scores: of the last evaluation: set to metric to score.
        stopped_early: whether patience ran out.
        history: (step, scores) of every evaluation of this process.
    """

    steps: int
    best: float | None = None
    best_step: int = 0
    scores: Scores = field(default_factory=dict)
    stopped_early: bool = False
    history: list[tuple[int, Scores]] = field(default_factory=list)


def check_trained(progress: RunProgress, first: int) -> None:
    """Say how many steps were left out; a run in which all were has no result.

    Args:
        progress: at the end of the run.
        first: step at which it began.

    Raises:
        DivergedError: no step was applied.
    """
    steps = progress.step - first
    if progress.is_untrained(first):
        raise DivergedError(
            f"none of the {steps} steps could be applied: the gradients were infinite or undefined "
            "each time. Nothing was trained, and nothing is saved. Use a lower --lr, or --dtype "
            "float32; if that does not help, the data or the model to start from are not usable."
        )
    if progress.skipped:
        log.warning(
            "%d of %d steps were left out: their gradients were not finite.",
            progress.skipped,
            steps,
        )
