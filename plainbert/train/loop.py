"""The training loop."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from pathlib import Path
from typing import Any

import torch

from plainbert.errors import Stopped, UsageError
from plainbert.infer.evaluation import Evaluation, Scores
from plainbert.nn.headed import Headed
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.checkpoints import Checkpoints
from plainbert.train.data_order import check_order, order_of, sampler_of
from plainbert.train.module_state import ModuleState
from plainbert.train.monitor import LogFormatter, Monitor, by_epoch
from plainbert.train.objective import Objective
from plainbert.train.optim import Optimizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.progress import Result, RunProgress, check_trained
from plainbert.train.schedules import schedule
from plainbert.train.settings import Settings
from plainbert.train.step import Scaler, Stepper
from plainbert.train.stopping import StopSignals
from plainbert.train.training_set import TrainingSet
from plainbert.visible import near

log = logging.getLogger(__name__)


def fit(
    model: Headed,
    tokenizer: Tokenizer,
    train: TrainingSet,
    settings: Settings,
    *,
    evaluation: Evaluation | None = None,
    folder: str | Path | None = None,
    about: dict[str, Any] | None = None,
    resume: bool = False,
    ranks: ParallelStrategy = ALONE,
    objective: Objective | None = None,
    formatter: LogFormatter = by_epoch,
) -> Result:
    """Train a model; however that ends, nothing but the weights differs afterwards.

    Args:
        model: on its device, in float32; trained in place.
        tokenizer: saved with every checkpoint.
        train: the examples to learn from.
        settings: how to train.
        evaluation: how good the model is; none: there is no ``best``.
        folder: the run folder; None: no checkpoints, no records.
        about: what ``plainbert.json`` of every checkpoint says, beside the step.
        resume: go on from the newest checkpoint in ``folder``. On the same machine type, torch
            version, threads and ranks the weights end bit-equal to those of a run without a break.
        ranks: how processes share the steps.
        objective: what is minimised; the loss of the model's labels when not given.
        formatter: how a line of the log reads.

    Raises:
        UsageError: ``resume`` without a folder.
        DivergedError: gradients stayed infinite or undefined, in ten steps or in all.
        CheckpointError: the checkpoint to resume is of another run.
        Stopped: SIGTERM or Ctrl-C came: a checkpoint of the step that was made then is saved.
    """
    folder = None if folder is None else Path(folder)
    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(folder, model, tokenizer, about, settings, ranks)
    with ModuleState(model, ranks=ranks) as modules:
        run = _Run(modules, tokenizer, train, settings, evaluation, folder, checkpoints)
        run.begin(resume, objective, formatter)
        # Of several ranks one may get its signal as another was lost, and will say that.
        hears = StopSignals(enabled=folder is not None, speaks=ranks.size == 1)
        with contextlib.closing(run.monitor), hears as signals:
            return run.go(signals)


class _Run:
    """The parts of one call of :func:`fit`."""

    def __init__(
        self,
        modules: ModuleState,
        tokenizer: Tokenizer,
        train: TrainingSet,
        settings: Settings,
        evaluation: Evaluation | None,
        folder: Path | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.modules, self.model, self.ranks = modules, modules.model, modules.ranks
        self.tokenizer = tokenizer
        self.train, self.settings, self.evaluation = train, settings, evaluation
        self.folder, self.checkpoints = folder, checkpoints
        self.device = next(self.model.parameters()).device
        self.history: list[tuple[int, Scores]] = []
        self.saved = -1  # step of the last checkpoint

    def begin(self, resume: bool, objective: Objective | None, formatter: LogFormatter) -> None:
        """Create the parts, and load the state of a run to be continued."""
        settings, ranks = self.settings, self.ranks
        first = settings.first_step if settings.start_step is None else settings.start_step
        self.first, self.progress = first, RunProgress(first, scaler=Scaler.of(settings.dtype))
        if resume and self.checkpoints is None:
            raise UsageError("to resume a run, name its folder.")
        if self.checkpoints and not resume:
            self.checkpoints.check_empty()
        elif self.checkpoints and (stored := self.checkpoints.resume(settings.start_step)):
            stored.scaler = stored.scaler.going_on_in(settings.dtype)
            self.progress, self.saved, self.first = stored, stored.step, settings.first_step
            if stored.step == settings.first_step:  # an earlier phase's: its optimizer state only
                self.progress = RunProgress(step=stored.step, scaler=stored.scaler)
        # The weights are loaded, and may be cut up now; the optimizer is given what is left here.
        self.modules.prepare(settings.dtype)
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
            self.checkpoints.load_optimizer(self.optimizer, self.saved)
        if self.progress.step < settings.first_step:
            raise UsageError(
                f"the first phase should have {settings.first_step} steps, and its last checkpoint "
                f"is of step {self.progress.step}: finish it, or give its real number of steps."
            )
        self.sampler = sampler_of(self.train, settings, ranks.size, self.progress)
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
        order = order_of(self.train, settings, self.sampler, self.tokenizer)
        check_order(self.progress.order, order)
        if self.checkpoints:
            self.checkpoints.tidy()
            self.checkpoints.check_disk(self.optimizer, self._saves())
        self.progress.order, self.progress.ranks = order, ranks.size
        self.progress.planned = settings.per_step(ranks.size)
        self.stepper = Stepper(
            self.modules,
            self.optimizer,
            self.progress.scaler,
            settings.max_grad_norm,
            settings.seed,
            objective,
        )
        self.monitor = Monitor(
            self.folder,
            self.total,
            self.sampler.steps_per_epoch,
            settings.log_interval,
            start=self.progress.step,
            first=settings.first_step,
            formatter=formatter,
            enabled=ranks.rank == 0,
            tokens_per_step=float(self.train.lengths.sum()) / self.sampler.steps_per_epoch,
        )
        log.info(
            "training: %d rows, %d%s a step, %d steps",
            len(self.train.lengths),
            self.sampler.global_size,
            " tokens" if settings.use_avg_len else "",
            self.total - settings.first_step,
        )
        log.debug(
            "a step is %d forward pass(es) of at most %d %s on each of %d rank(s)",
            self.sampler.accumulate,
            settings.batch_size,
            "tokens" if settings.use_avg_len else "rows",
            ranks.size,
        )

    def go(self, signals: StopSignals) -> Result:
        """Step until the end, until patience runs out, or until a signal comes."""
        progress, settings = self.progress, self.settings
        self.model.train()
        while progress.step < self.total and not self._out_of_patience():
            batches, idle = self._batches(progress.step - settings.first_step)
            lr = settings.lr * self.schedule(progress.step - settings.first_step)
            stop = bool(signals.number)
            result = self.stepper.step(progress.step, batches, lr, idle, stop)
            progress.add(result)
            self.monitor.count(result, progress.step)
            if self.monitor.due(progress.step):
                self.monitor.write_line(progress.step, progress.means(), lr, result.norm)
            if not progress.is_untrained(self.first):
                better = self._due(settings.eval_steps) and self._evaluate()
                if better or self._due(settings.save_steps):
                    self._save()
            if result.stop or (signals.number and self.ranks.size == 1):
                raise self._stopped(signals.number or signal.SIGTERM)
        check_trained(progress, self.first)
        self._finish()
        if self.checkpoints:
            self.checkpoints.finish()
        stops = torch.tensor([float(signals.number > 0)])  # in the last step, or what came of it
        self.ranks.sum([stops])
        if stops > 0:
            raise Stopped(signals.number or signal.SIGTERM, self.ranks.rank == 0)
        return Result(
            steps=progress.step,
            best=progress.best,
            best_step=progress.best_step,
            scores=self.history[-1][1] if self.history else {},
            stopped_early=self._out_of_patience(),
            history=self.history,
        )

    def _finish(self) -> None:
        """See to it that the last step is saved."""
        if self.saved != self.progress.step:
            self._save()
        if self.checkpoints:
            self.checkpoints.wait()
            self.ranks.barrier()

    def _stopped(self, number: int) -> Stopped:
        """What to raise for a signal; where the run stands is saved, if it has done anything."""
        if not self.progress.is_untrained(self.first):
            self._finish()
        return Stopped(number, self.ranks.rank == 0)

    def _batches(self, step: int) -> tuple[list[Any], int]:
        """This rank's micro-batches, and how many at the end are idle: run, but not counted."""
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

    def _saves(self) -> int:
        """Checkpoints that will be written for certain."""
        every = self.settings.save_steps or self.sampler.steps_per_epoch
        steps = max(0, self.total - self.progress.step)
        return min(-(-steps // every), steps if self.settings.early_stop is None else 1)

    def _out_of_patience(self) -> bool:
        patience = self.settings.early_stop
        return patience is not None and self.progress.waiting >= patience

    def _evaluate(self) -> bool:
        """Score every set; True if that is the best result so far (ties: the earliest counts)."""
        if self.evaluation is None:
            return False
        progress, start = self.progress, time.perf_counter()
        results = self.evaluation(self.model)
        self.model.train()
        self.history.append((progress.step, results))
        values = [scores[self.evaluation.chooses] for scores in results.values()]
        better = progress.rate(sum(values) / len(values), self.evaluation.better)
        for split, scores in results.items():
            metrics = ", ".join(f"{name}:{value:.4f}" for name, value in scores.items())
            log.info("step %d, %s: validation metrics:%s", progress.step, split, metrics)
            self.monitor.record(
                progress.step, {f"{split}/{name}": value for name, value in scores.items()}
            )
        log.debug("scoring took %.1f s", time.perf_counter() - start)
        self.monitor.restart_clock()
        return better

    def _save(self) -> None:
        if self.checkpoints is not None:
            path = self.checkpoints.save(self.optimizer, self.progress)
            verb = "saving" if self.settings.async_checkpoints else "saved"
            log.info("%s %s", verb, near(path))
            self.monitor.restart_clock()
        self.saved = self.progress.step
