"""What a run tells: lines of the log, ``metrics.jsonl``, TensorBoard, a bar on a terminal."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from plainbert import files
from plainbert.progress import EVERY
from plainbert.train.pace import Pace, in_words
from plainbert.train.run_folder import METRICS_FILE
from plainbert.train.step import StepResult

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepLog:
    """What one line of the log is about: the steps since the line before.

    Attributes:
        step: steps applied in all.
        epoch: pass over the data, from 0.
        step_in_epoch: steps of the epoch so far.
        steps_per_epoch: steps of a whole epoch.
        steps: since the last line.
        losses: mean of each loss, and of each accuracy where there are some, by name.
        lr: learning rate of the last step.
        norm: of the gradient of the last step.
        seconds: since the last line.
        examples: sequences since the last line, of all ranks.
        tokens: of those sequences.
        seconds_left: that the steps to come take; None where nobody can tell yet.
    """

    step: int
    epoch: int
    step_in_epoch: int
    steps_per_epoch: int
    steps: int
    losses: dict[str, float]
    lr: float
    norm: float
    seconds: float
    examples: int
    tokens: int
    seconds_left: float | None = None

    def left(self) -> str:
        """``, 12 min left`` for the end of a line; nothing where nobody can tell, or it is over."""
        return f", {in_words(self.seconds_left)} left" if self.seconds_left else ""


# What a line says, and what ``metrics.jsonl`` gets of it beside the losses.
LogFormatter = Callable[[StepLog], tuple[str, dict[str, float]]]


def by_epoch(entry: StepLog) -> tuple[str, dict[str, float]]:
    """The line of GluonNLP's fine-tuning scripts."""
    losses = "".join(f"{name}={value:.4f}, " for name, value in entry.losses.items())
    speed = entry.examples / entry.seconds
    line = (
        f"[Epoch {entry.epoch} Batch {entry.step_in_epoch}/{entry.steps_per_epoch}] {losses}"
        f"lr={entry.lr:.7f}, throughput={speed:.1f} rows/s{entry.left()}"
    )
    return line, {"samples_per_second": speed, "tokens_per_second": entry.tokens / entry.seconds}


class Monitor:
    """Records of one run. Only rank 0 has one that writes.

    Args:
        folder: the run folder; None: nothing is written to disk.
        total_steps: of the whole run.
        steps_per_epoch: for the log.
        interval: steps between two lines.
        start: step that the run continues after; later records of ``metrics.jsonl`` are dropped.
        first: number of the first step, where it is not 0.
        formatter: how a line reads.
        enabled: False silences everything.
        tokens_per_step: on average over the data.
    """

    def __init__(
        self,
        folder: Path | None,
        total_steps: int,
        steps_per_epoch: int,
        interval: int,
        start: int = 0,
        first: int = 0,
        formatter: LogFormatter = by_epoch,
        enabled: bool = True,
        tokens_per_step: float = 1.0,
    ) -> None:
        self.total_steps = total_steps
        self.steps_per_epoch, self.interval, self.first = steps_per_epoch, interval, first
        self.formatter, self.enabled = formatter, enabled
        self._path = folder / METRICS_FILE if folder is not None and enabled else None
        if self._path is not None:
            self._keep_until(self._path, start)
        self._board = _tensorboard(folder, start) if folder is not None and enabled else None
        self._on_terminal = enabled and sys.stderr.isatty()
        self._bar = tqdm(
            total=total_steps,
            initial=start,
            desc="train",
            unit="step",
            disable=not self._on_terminal,
            leave=False,
        )
        self._pace = Pace(total_steps - start, tokens_per_step)
        self._said = time.monotonic()
        self.restart_clock()

    def count(self, result: StepResult, step: int) -> None:
        """Take note of one step.

        Args:
            result: what the step did.
            step: steps applied in all, this one among them.
        """
        self._bar.update()
        self._examples += result.examples
        self._tokens += result.tokens
        self._steps += 1
        if self._pace.count(result.tokens) and self.enabled and (left := self._pace.left()):
            log.info("training takes about %s more; scores come on top.", in_words(left))
            self._said = time.monotonic()
        self._say_alive(step)
        if not result.applied and self.enabled:
            log.warning("step %d is left out: its gradients are not finite.", step)

    def _say_alive(self, step: int) -> None:
        """A line between the lines, where they are far apart and there is no bar to look at."""
        if self.enabled and not self._on_terminal and time.monotonic() - self._said >= EVERY:
            left = self._pace.left()
            rest = f", {in_words(left)} left" if left else ""
            log.info("step %d of %d%s", step - self.first, self.total_steps - self.first, rest)
            self._said = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether a line is due after a step: every ``interval`` steps, and after each epoch."""
        return step % self.interval == 0 or (step - self.first) % self.steps_per_epoch == 0

    def write_line(self, step: int, losses: dict[str, float], lr: float, norm: float) -> None:
        """Write a line of the log, and its numbers, on the steps since the line before.

        Args:
            step: steps applied in all.
            losses: mean of each loss and accuracy, by name.
            lr: learning rate of the last step.
            norm: of the gradient of the last step.
        """
        epoch, place = divmod(step - self.first - 1, self.steps_per_epoch)
        entry = StepLog(
            step=step,
            epoch=epoch,
            step_in_epoch=place + 1,
            steps_per_epoch=self.steps_per_epoch,
            steps=self._steps,
            losses=losses,
            lr=lr,
            norm=norm,
            seconds=max(time.perf_counter() - self._since, 1e-9),
            examples=self._examples,
            tokens=self._tokens,
            seconds_left=self._pace.left(),
        )
        line, numbers = self.formatter(entry)
        if self.enabled:
            log.info("%s", line)
            self._said = time.monotonic()
        if losses:
            name, value = next(iter(losses.items()))
            self._bar.set_postfix({name: f"{value:.4f}"}, refresh=False)
        self.record(step, {**losses, "lr": lr, "norm": norm, **numbers})
        self.restart_clock()

    def restart_clock(self) -> None:
        """Start measuring throughput anew; evaluation is no training time."""
        self._since = time.perf_counter()
        self._examples = self._tokens = self._steps = 0
        self._pace.restart()

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append numbers to ``metrics.jsonl`` and TensorBoard."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(files.json_text({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the bar and the event file."""
        self._bar.close()
        if self._board is not None:
            self._board.close()

    @staticmethod
    def _keep_until(path: Path, step: int) -> None:
        """Drop records after a step, and a last line that was cut off."""
        if not path.exists():
            return
        kept = []
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = list(file)
        for line in lines:
            try:
                if line.endswith("\n") and json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError, RecursionError):  # not of ours
                continue
        files.write_text(path, "".join(kept))


def _tensorboard(folder: Path, start: int) -> Any:
    """TensorBoard's writer; None where it is not installed: ``metrics.jsonl`` has it all, too."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.debug(
            "no TensorBoard events: pip install tensorboard brings them; %s has all numbers.",
            METRICS_FILE,
        )
        return None
    return SummaryWriter(str(folder), purge_step=start + 1 if start else None)
