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


# What a line says, and what ``metrics.jsonl`` gets of it beside the losses.
LogFormatter = Callable[[StepLog], tuple[str, dict[str, float]]]


def by_epoch(entry: StepLog) -> tuple[str, dict[str, float]]:
    """The line of GluonNLP's fine-tuning scripts."""
    losses = "".join(f"{name}={value:.4f}, " for name, value in entry.losses.items())
    speed = entry.examples / entry.seconds
    line = (
        f"[Epoch {entry.epoch} Batch {entry.step_in_epoch}/{entry.steps_per_epoch}] {losses}"
        f"lr={entry.lr:.7f}, norm={entry.norm:.3f}, throughput={speed:.1f} samples/s"
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
    ) -> None:
        self.steps_per_epoch, self.interval, self.first = steps_per_epoch, interval, first
        self.formatter, self.enabled = formatter, enabled
        self._path = folder / METRICS_FILE if folder is not None and enabled else None
        if self._path is not None:
            self._keep_until(self._path, start)
        self._board = _tensorboard(folder, start) if folder is not None and enabled else None
        hidden = not (enabled and sys.stderr.isatty())
        self._bar = tqdm(
            total=total_steps, initial=start, desc="train", unit="step", disable=hidden
        )
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
        if not result.applied and self.enabled:
            log.warning("step %d: gradients are not finite; the step is skipped.", step)

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
        )
        line, numbers = self.formatter(entry)
        if self.enabled:
            log.info("%s", line)
        if losses:
            name, value = next(iter(losses.items()))
            self._bar.set_postfix({name: f"{value:.4f}"}, refresh=False)
        self.record(step, {**losses, "lr": lr, "norm": norm, **numbers})
        self.restart_clock()

    def restart_clock(self) -> None:
        """Start measuring throughput anew; evaluation is no training time."""
        self._since = time.perf_counter()
        self._examples = self._tokens = self._steps = 0

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
    """TensorBoard's writer; None, and a line in the log, where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("no TensorBoard events: install the package 'tensorboard' to have them.")
        return None
    return SummaryWriter(str(folder), purge_step=start + 1 if start else None)
