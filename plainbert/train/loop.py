"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert import metrics
from plainbert.batching.batch import collate
from plainbert.batching.features import Features
from plainbert.batching.sampler import Sampler
from plainbert.errors import UsageError
from plainbert.nn.headed import Headed
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.evaluate import evaluate
from plainbert.train.mixed import Mixed
from plainbert.train.monitor import Monitor
from plainbert.train.optim import Optimizer
from plainbert.train.schedules import schedule
from plainbert.train.settings import Settings
from plainbert.train.state import Checkpoints, Progress, check_order
from plainbert.train.step import Forward, Reduce, Scaler, Stepper, alone, forward, sparse_words

log = logging.getLogger(__name__)


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
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    stopped_early: bool = False
    history: list[tuple[int, dict[str, dict[str, float]]]] = field(default_factory=list)


def fit(
    model: Headed,
    tokenizer: Tokenizer,
    train: Features,
    settings: Settings,
    *,
    dev: Mapping[str, Features] | None = None,
    metric_names: Sequence[str] = (),
    folder: str | Path | None = None,
    about: dict[str, Any] | None = None,
    resume: bool = False,
    rank: int = 0,
    ranks: int = 1,
    reduce: Reduce = alone,
    forward: Forward = forward,
) -> Result:
    """Train a model.

    Args:
        model: on its device, in float32; trained in place.
        tokenizer: saved with every checkpoint.
        train: features with labels.
        settings: how to train.
        dev: sets to evaluate, by name; none: no evaluation, and no ``best``.
        metric_names: the first one, averaged over the sets, chooses the best checkpoint.
        folder: the run folder; None: no checkpoints, no records.
        about: for ``plainbert.json``.
        resume: go on from the newest checkpoint in ``folder``. On the same machine type, torch
            version, threads and ranks the weights end bit-equal to those of a run without a break.
        rank: of this process, in [0, ranks).
        ranks: processes that share every step.
        reduce: sum over the ranks.
        forward: the loss of a micro-batch.

    Raises:
        UsageError: no labels, or ``resume`` without a folder.
        DivergedError: gradients stayed infinite or undefined.
        CheckpointError: the checkpoint to resume is of another run.
    """
    if train.labels is None:
        raise UsageError("the training set has no labels.")
    run = _Run(model, tokenizer, train, settings, dev or {}, tuple(metric_names), folder, about)
    run.begin(resume, rank, ranks, reduce, forward)
    try:
        return run.go()
    finally:
        run.monitor.close()
        run.mixed.remove()
        sparse_words(model, on=False)
        model.eval()


class _Run:
    """The parts of one call of :func:`fit`."""

    def __init__(
        self,
        model: Headed,
        tokenizer: Tokenizer,
        train: Features,
        settings: Settings,
        dev: Mapping[str, Features],
        metric_names: tuple[str, ...],
        folder: str | Path | None,
        about: dict[str, Any] | None,
    ) -> None:
        if dev and not metric_names:
            raise UsageError("sets to evaluate, but no metric to evaluate them by.")
        self.model, self.train, self.settings = model, train, settings
        self.dev, self.metric_names = dev, metric_names
        self.folder = None if folder is None else Path(folder)
        self.checkpoints = (
            None
            if self.folder is None
            else Checkpoints(self.folder, model, tokenizer, about, settings.keep_checkpoints)
        )
        self.device = next(model.parameters()).device
        self.history: list[tuple[int, dict[str, dict[str, float]]]] = []
        self.saved = -1  # step of the last checkpoint

    def begin(self, resume: bool, rank: int, ranks: int, reduce: Reduce, forward: Forward) -> None:
        """Make the parts, and load the state of a run to be continued."""
        settings = self.settings
        self.rank = rank
        self.sampler = Sampler(
            self.train.lengths, settings.batch_size, settings.seed, settings.accumulate, ranks,
            settings.bucket,
        )  # fmt: skip
        self.total = settings.training_steps or settings.epochs * self.sampler.steps_per_epoch
        self.schedule = schedule(
            settings.schedule, self.total, settings.warmup_ratio,
            settings.end_lr / settings.lr if settings.lr else 0.0,
            settings.schedule_power, settings.schedule_cycles,
        )  # fmt: skip
        self.optimizer = Optimizer(
            settings.optimizer, self.model.named_parameters(), settings.weight_decay,
            settings.epsilon,
        )  # fmt: skip
        self.progress = Progress(scaler=Scaler.of(settings.dtype))
        order = {
            "examples": len(self.train), "seed": settings.seed, "bucket": settings.bucket,
            "examples_per_step": self.sampler.global_size, "steps": self.total,
        }  # fmt: skip
        if self.checkpoints is not None and not resume:
            self.checkpoints.check_empty()
        if resume:
            if self.checkpoints is None:
                raise UsageError("to resume a run, name its folder.")
            self.progress = self.checkpoints.resume(self.optimizer)
            if self.progress.step == 0:
                self.progress.scaler = Scaler.of(settings.dtype)
            self.saved = self.progress.step
        check_order(self.progress, order)
        self.mixed = Mixed(self.model, settings.dtype)
        self.stepper = Stepper(
            self.model, self.optimizer, self.mixed, self.progress.scaler, settings.max_grad_norm,
            settings.seed, rank, reduce, forward,
        )  # fmt: skip
        self.monitor = Monitor(
            self.folder, self.total, self.sampler.steps_per_epoch, settings.log_interval,
            self.progress.step, enabled=rank == 0,
        )  # fmt: skip
        log.info(
            "%d examples, %d per step (%d per forward pass, %d forward passes, %d ranks), %d steps",
            len(self.train), self.sampler.global_size, settings.batch_size, settings.accumulate,
            ranks, self.total,
        )  # fmt: skip

    def go(self) -> Result:
        """Step until the end, or until patience runs out."""
        progress, settings = self.progress, self.settings
        self.model.train()
        while progress.step < self.total and not self._out_of_patience():
            ids = self.sampler.batch(progress.step, self.rank)
            batches = [collate(self.train, part, self.device) for part in ids if len(part)]
            lr = settings.lr * self.schedule(progress.step)
            result = self.stepper.step(progress.step, batches, lr)
            progress.step += 1
            if result.applied:
                progress.loss += result.loss
                progress.steps += 1
            self.monitor.step(result, progress, lr)
            better = self._due(settings.eval_steps) and bool(self.dev) and self._evaluate()
            if better or self._due(settings.save_steps):
                self._save()
        if self.saved != progress.step:
            self._save()
        return Result(
            steps=progress.step,
            best=progress.best,
            best_step=progress.best_step,
            scores=self.history[-1][1] if self.history else {},
            stopped_early=self._out_of_patience(),
            history=self.history,
        )

    def _due(self, every: int | None) -> bool:
        """Whether something happens now that happens every so many steps, or after each epoch."""
        step = self.progress.step
        return step == self.total or step % (every or self.sampler.steps_per_epoch) == 0

    def _out_of_patience(self) -> bool:
        patience = self.settings.early_stop
        return patience is not None and self.progress.waiting >= patience

    def _evaluate(self) -> bool:
        """Score every set; True if that is the best result so far (ties: the earliest counts)."""
        progress, start = self.progress, time.perf_counter()
        found = evaluate(self.model, self.dev, self.metric_names, self.device, self.settings.dtype)
        self.model.train()
        self.history.append((progress.step, found))
        first = self.metric_names[0]
        score = sum(scores[first] for scores in found.values()) / len(found)
        better = progress.best is None or metrics.better(first) * (score - progress.best) > 0
        if better:
            progress.best, progress.best_step, progress.waiting = score, progress.step, 0
        else:
            progress.waiting += 1
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
        if self.checkpoints is not None and self.rank == 0:
            path = self.checkpoints.save(self.optimizer, self.progress)
            log.info("saved %s", path)
            self.monitor.restart_clock()
        self.saved = self.progress.step
