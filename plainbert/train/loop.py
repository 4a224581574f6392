"""The training loop."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.sampler import Sampler
from plainbert.errors import UsageError
from plainbert.infer.evaluation import Evaluation, Scores
from plainbert.nn.headed import Headed
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.checkpoints import Checkpoints, Progress, check_order
from plainbert.train.monitor import LogFormatter, Monitor, by_epoch
from plainbert.train.objective import Objective
from plainbert.train.optim import Optimizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.schedules import schedule
from plainbert.train.settings import Settings
from plainbert.train.step import Scaler, Stepper, sparse_words

log = logging.getLogger(__name__)


class Data(Protocol):
    """What a run is trained on.

    Attributes:
        lengths: tokens of each example; (N,).
        identity: what a resumed run compares, to see that it is the same data.
    """

    lengths: NDArray[Any]
    identity: dict[str, Any]

    def batch(self, index: NDArray[np.int64], epoch: int, device: torch.device) -> Any:
        """Some examples as the objective wants them, with a ``layout`` and a length."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        steps: optimizer updates applied in all.
        best: best score, None when nothing was evaluated.
        best_step: where it was reached.
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


def fit(
    model: Headed,
    tokenizer: Tokenizer,
    train: Data,
    settings: Settings,
    *,
    evaluation: Evaluation | None = None,
    folder: str | Path | None = None,
    about: dict[str, Any] | None = None,
    resume: bool = False,
    ranks: ParallelStrategy = ALONE,
    objective: Objective | None = None,
    line: LogFormatter = by_epoch,
) -> Result:
    """Train a model.

    Args:
        model: on its device, in float32; trained in place.
        tokenizer: saved with every checkpoint.
        train: the examples.
        settings: how to train.
        evaluation: how good the model is; none: there is no ``best``.
        folder: the run folder; None: no checkpoints, no records.
        about: for ``plainbert.json``.
        resume: go on from the newest checkpoint in ``folder``. On the same machine type, torch
            version, threads and ranks the weights end bit-equal to those of a run without a break.
        ranks: how processes share the steps.
        objective: what is minimised; the loss of the model's labels when not given.
        line: how a line of the log reads.

    Raises:
        UsageError: ``resume`` without a folder.
        DivergedError: gradients stayed infinite or undefined.
        CheckpointError: the checkpoint to resume is of another run.
    """
    run = _Run(model, tokenizer, train, settings, evaluation, folder, about, ranks)
    run.begin(resume, objective, line)
    try:
        return run.go()
    finally:
        run.monitor.close()
        sparse_words(model, None)
        run.mixed.remove()
        ranks.release()
        model.eval()


class _Run:
    """The parts of one call of :func:`fit`."""

    def __init__(
        self,
        model: Headed,
        tokenizer: Tokenizer,
        train: Data,
        settings: Settings,
        evaluation: Evaluation | None,
        folder: str | Path | None,
        about: dict[str, Any] | None,
        ranks: ParallelStrategy,
    ) -> None:
        self.model, self.train, self.settings, self.evaluation = model, train, settings, evaluation
        self.folder = None if folder is None else Path(folder)
        self.checkpoints = None
        if self.folder:
            self.checkpoints = Checkpoints(self.folder, model, tokenizer, about, settings, ranks)
        self.ranks, self.device = ranks, next(model.parameters()).device
        self.history: list[tuple[int, Scores]] = []
        self.saved = -1  # step of the last checkpoint

    def begin(self, resume: bool, objective: Objective | None, line: LogFormatter) -> None:
        """Make the parts, and load the state of a run to be continued."""
        settings, ranks = self.settings, self.ranks
        first = settings.first_step if settings.start_step is None else settings.start_step
        self.progress = Progress(step=first, scaler=Scaler.of(settings.dtype))
        if resume and self.checkpoints is None:
            raise UsageError("to resume a run, name its folder.")
        if self.checkpoints and not resume:
            self.checkpoints.check_empty()
        elif self.checkpoints and (found := self.checkpoints.resume(settings.start_step)):
            self.progress, self.saved = found, found.step
            if found.step == settings.first_step:  # an earlier phase's: its slots, no more
                self.progress = Progress(step=found.step, scaler=found.scaler)
        self.mixed = ranks.prepare(self.model, settings.dtype)
        named = ranks.parameters(self.model)
        self.optimizer = Optimizer(
            settings.optimizer,
            named,
            settings.weight_decay,
            settings.epsilon,
            owned=ranks.owned(named),
            norms=ranks.norms,
        )
        if self.checkpoints is not None and self.saved >= 0:
            self.checkpoints.load_slots(self.optimizer, self.saved)
        if self.progress.step < settings.first_step:
            raise UsageError(
                f"the first phase should have {settings.first_step} steps, and its last checkpoint "
                f"is of step {self.progress.step}: finish it, or give its real number of steps."
            )
        self.sampler = self._sampler()
        self.total = settings.first_step + (
            settings.training_steps or settings.epochs * self.sampler.steps_per_epoch
        )
        self.schedule = schedule(
            settings.schedule,
            self.total - settings.first_step,
            settings.warmup_ratio,
            settings.end_lr / settings.lr if settings.lr else 0.0,
            settings.schedule_power,
            settings.schedule_cycles,
        )
        check_order(
            self.progress,
            {
                **self.train.identity,
                "seed": settings.seed,
                "bucket": settings.group_by_length,
                "by_tokens": settings.use_avg_len,
                "per_step": self.sampler.global_size,
                "first_step": settings.first_step,
            },
        )
        if self.checkpoints:
            self.checkpoints.tidy()
        self.progress.ranks = ranks.size
        self.stepper = Stepper(
            self.model,
            self.optimizer,
            self.mixed,
            self.progress.scaler,
            settings.max_grad_norm,
            settings.seed,
            ranks,
            objective,
        )
        self.monitor = Monitor(
            self.folder,
            self.total,
            self.sampler.steps_per_epoch,
            settings.log_interval,
            self.progress.step,
            settings.first_step,
            line,
            enabled=ranks.rank == 0,
        )
        log.info(
            "%d examples, %d %s per step (%d per forward pass, %d forward passes, %d ranks), "
            "%d steps",
            len(self.train.lengths),
            self.sampler.global_size,
            "tokens" if settings.use_avg_len else "examples",
            settings.batch_size,
            self.sampler.accumulate,
            ranks.size,
            self.total - settings.first_step,
        )

    def _sampler(self) -> Sampler:
        """The order of the data; on another number of ranks, the global batch stays."""
        settings, ranks = self.settings, self.ranks.size
        accumulate = settings.accumulate
        size = settings.batch_size * accumulate * ranks
        began = self.progress.order.get("per_step", size)
        if began != size and self.progress.ranks != ranks:
            size, accumulate = began, -(-began // (settings.batch_size * ranks))
            log.warning(
                "the run began with %d ranks and goes on with %d: to keep %d per step, each takes "
                "%d forward passes.",
                self.progress.ranks,
                ranks,
                size,
                accumulate,
            )
        return Sampler(
            self.train.lengths,
            settings.batch_size,
            settings.seed,
            accumulate,
            ranks,
            settings.group_by_length,
            settings.use_avg_len,
            size,
        )

    def go(self) -> Result:
        """Step until the end, or until patience runs out."""
        progress, settings = self.progress, self.settings
        self.model.train()
        while progress.step < self.total and not self._out_of_patience():
            batches, idle = self._batches(progress.step - settings.first_step)
            lr = settings.lr * self.schedule(progress.step - settings.first_step)
            result = self.stepper.step(progress.step, batches, lr, idle)
            progress.step += 1
            if result.applied:
                for name, value in result.losses.items():
                    progress.losses[name] = progress.losses.get(name, 0.0) + value
                progress.steps += 1
            self.monitor.step(result, progress, lr)
            better = self._due(settings.eval_steps) and self._evaluate()
            if better or self._due(settings.save_steps):
                self._save()
        if self.saved != progress.step:
            self._save()
        if self.checkpoints:
            self.checkpoints.wait()
            self.ranks.barrier()
        return Result(
            steps=progress.step,
            best=progress.best,
            best_step=progress.best_step,
            scores=self.history[-1][1] if self.history else {},
            stopped_early=self._out_of_patience(),
            history=self.history,
        )

    def _batches(self, step: int) -> tuple[list[Any], int]:
        """This rank's micro-batches, and how many at the end are only there for company."""
        sampler, epoch = self.sampler, self.sampler.epoch(step)
        ids = [part for part in sampler.batch(step, self.ranks.rank) if len(part)]
        idle = 0
        if self.ranks.size > 1:  # of a small last batch, another rank may have one more
            every = sampler.examples(step)
            idle = min(sampler.accumulate, -(-len(every) // self.ranks.size)) - len(ids)
            ids += [every[:1]] * idle
        return [self.train.batch(part, epoch, self.device) for part in ids], idle

    def _due(self, every: int | None) -> bool:
        """Whether something happens now that happens every so many steps, or after each epoch."""
        step = self.progress.step
        if every is None:
            step, every = step - self.settings.first_step, self.sampler.steps_per_epoch
        return self.progress.step == self.total or step % every == 0

    def _out_of_patience(self) -> bool:
        patience = self.settings.early_stop
        return patience is not None and self.progress.waiting >= patience

    def _evaluate(self) -> bool:
        """Score every set; True if that is the best result so far (ties: the earliest counts)."""
        if self.evaluation is None:
            return False
        progress, start = self.progress, time.perf_counter()
        found = self.evaluation(self.model)
        self.model.train()
        self.history.append((progress.step, found))
        values = [scores[self.evaluation.chooses] for scores in found.values()]
        score = sum(values) / len(values)
        better = progress.best is None or self.evaluation.better * (score - progress.best) > 0
        if better:
            progress.best, progress.best_step = score, progress.step
        progress.waiting = 0 if better else progress.waiting + 1
        for split, scores in found.items():
            shown = ", ".join(f"{name}:{value:.4f}" for name, value in scores.items())
            log.info("step %d, %s: validation metrics:%s", progress.step, split, shown)
            self.monitor.record(
                progress.step, {f"{split}/{name}": value for name, value in scores.items()}
            )
        log.info("Time cost=%.1fs", time.perf_counter() - start)
        self.monitor.restart_clock()
        return better

    def _save(self) -> None:
        if self.checkpoints is not None:
            path = self.checkpoints.save(self.optimizer, self.progress)
            log.info("saving %s" if self.settings.async_checkpoints else "saved %s", path)
            self.monitor.restart_clock()
        self.saved = self.progress.step
