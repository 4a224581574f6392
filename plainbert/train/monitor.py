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
from plainbert.train.checkpoints import Progress
from plainbert.train.run_folder import METRICS_FILE
from plainbert.train.step import StepResult

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepLog:
    """What one line of the log is about: the steps since the line before.

    Attributes:
        step: steps applied in all.
        epoch: pass over the data, from 0.
        place: steps of the epoch so far.
        steps_per_epoch: in all.
        steps: since the last line.
        losses: mean of each, and accuracies where there are.
        lr: of the last step.
        norm: of its gradient.
        seconds: since the last line.
        examples: since then, of all ranks.
        tokens: since then, of all ranks.
    """

    step: int
    epoch: int
    place: int
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


def by_epoch(now: StepLog) -> tuple[str, dict[str, float]]:
    """The line of GluonNLP's fine-tuning scripts."""
    shown = "".join(f"{name}={value:.4f}, " for name, value in now.losses.items())
    speed = now.examples / now.seconds
    line = (
        f"[Epoch {now.epoch} Batch {now.place}/{now.steps_per_epoch}] {shown}lr={now.lr:.7f}, "
        f"norm={now.norm:.3f}, throughput={speed:.1f} samples/s"
    )
    return line, {"samples_per_second": speed, "tokens_per_second": now.tokens / now.seconds}


class Monitor:
    """Records of one run. Only rank 0 has one that writes.

    Args:
        folder: the run folder; None: nothing is written to disk.
        total_steps: of the whole run.
        steps_per_epoch: for the log.
        interval: steps between two lines.
        start: step that the run continues after; later records of ``metrics.jsonl`` are dropped.
        first: number of the first step, where it is not 0.
        line: how a line reads.
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
        line: LogFormatter = by_epoch,
        enabled: bool = True,
    ) -> None:
        self.steps_per_epoch, self.interval, self.first = steps_per_epoch, interval, first
        self.line, self.enabled = line, enabled
        self._path = folder / METRICS_FILE if folder is not None and enabled else None
        if self._path is not None:
            self._keep_until(self._path, start)
        self._board = _tensorboard(folder, start) if folder is not None and enabled else None
        shown = enabled and sys.stderr.isatty()
        self._bar = tqdm(
            total=total_steps, initial=start, desc="train", unit="step", disable=not shown
        )
        self.restart_clock()

    def step(self, result: StepResult, progress: Progress, lr: float) -> None:
        """Take note of one step; ``progress`` already counts it and holds the losses so far."""
        self._bar.update()
        self._examples += result.examples
        self._tokens += result.tokens
        self._steps += 1
        if not result.applied and self.enabled:
            log.warning("step %d: gradients are not finite; the step is skipped.", progress.step)
        epoch, place = divmod(progress.step - self.first - 1, self.steps_per_epoch)
        if progress.step % self.interval and place + 1 != self.steps_per_epoch:
            return
        seconds = max(time.perf_counter() - self._since, 1e-9)
        losses = {name: sum_ / progress.steps for name, sum_ in progress.losses.items()}
        now = StepLog(
            progress.step,
            epoch,
            place + 1,
            self.steps_per_epoch,
            self._steps,
            losses,
            lr,
            result.norm,
            seconds,
            self._examples,
            self._tokens,
        )
        line, numbers = self.line(now)
        if self.enabled:
            log.info("%s", line)
        if losses:
            name, value = next(iter(losses.items()))
            self._bar.set_postfix({name: f"{value:.4f}"}, refresh=False)
        self.record(progress.step, {**losses, "lr": lr, "norm": result.norm, **numbers})
        progress.losses, progress.steps = {}, 0
        self.restart_clock()

    def restart_clock(self) -> None:
        """Start measuring throughput anew; evaluation is no training time."""
        self._since = time.perf_counter()
        self._examples = self._tokens = self._steps = 0

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append numbers to ``metrics.jsonl`` and TensorBoard."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
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
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            try:
                if line.endswith("\n") and json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):
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
