"""Checkpoints of a run: folders ``step-0001200`` with the model and what resuming needs.

Beside the model's own files a folder holds ``training.safetensors`` (the optimizer's slots; or
``training``, a folder to which every rank wrote its part) and ``training.json`` (everything else).
Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plainbert import checkpoint, files
from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.nn.headed import Headed
from plainbert.text.tokenizer import Tokenizer
from plainbert.train import earlier, run_folder
from plainbert.train.background import Background
from plainbert.train.optim import Optimizer
from plainbert.train.optimizer_state import read_slots, write_slots
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.run_folder import STATE
from plainbert.train.settings import Settings
from plainbert.train.step import Scaler

log = logging.getLogger(__name__)

SLOTS, PARTS = "training.safetensors", "training"


@dataclass
class Progress:
    """Where a run stands; everything but weights and optimizer slots.

    Attributes:
        step: optimizer updates applied.
        best: best score so far, None before the first evaluation.
        best_step: step it was reached at.
        waiting: evaluations since then.
        losses: sum of each loss over the steps since the last line of the log ...
        steps: ... and their number.
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


class Checkpoints:
    """The checkpoint folders of one run.

    Args:
        folder: the run folder.
        model: what is saved.
        tokenizer: saved with it.
        about: for ``plainbert.json``.
        settings: how many older checkpoints to keep beside the best and the last, and whether
            they are written while training goes on.
        ranks: how processes share the run.
    """

    def __init__(
        self,
        folder: Path,
        model: Headed,
        tokenizer: Tokenizer,
        about: dict[str, Any] | None = None,
        settings: Settings | None = None,
        ranks: ParallelStrategy = ALONE,
    ) -> None:
        self.folder, self.model, self.tokenizer = folder, model, tokenizer
        self.about, self.ranks = dict(about or {}), ranks
        settings = settings or Settings()
        self.keep, self.background = settings.keep_checkpoints, settings.async_checkpoints
        self._running = Background()
        self._group: Any = None  # for checkpoints only

    def save(self, optimizer: Optimizer, progress: Progress) -> Path:
        """Write a checkpoint, point ``last`` and ``best`` to theirs, remove old ones.

        All ranks must call. A kill at any moment leaves either the old state or the new one. In
        the background, the call returns when everything is copied; the next one waits for it. The
        first checkpoint of a run that overwrites another is the end of that one.

        Raises:
            CheckpointError: it could not be written, or, in the background, the one before.
            UsageError: something else has the checkpoint's name.
        """
        self.wait()
        ranks = self.ranks
        path = self.folder / checkpoint.step_name(progress.step)
        if self._agreed(run_folder.is_checkpoint(path)):
            self._publish(path, progress)
            return path
        if ranks.spread and self._group is None:
            self._group = ranks.checkpoint_group()
        weights = ranks.weights(self.model)
        slots = ranks.parts(optimizer.state()) if ranks.spread or ranks.rank == 0 else {}
        parts = {name: part.on_cpu(self.background) for name, part in slots.items()}
        if self.background:
            progress = copy.deepcopy(progress)
            weights = {name: each.detach().to("cpu", copy=True) for name, each in weights.items()}
        folder = contextlib.ExitStack()
        partial = files.partial_folder(path)
        if ranks.rank == 0:
            folder.enter_context(files.new_folder(path))
        if ranks.spread:
            ranks.barrier()
            self._check_shared(partial)

        def write() -> None:
            with folder:
                if ranks.spread:
                    from plainbert.train.sharded_optimizer_state import write_parts

                    write_parts(partial / PARTS, parts, self._group)
                elif ranks.rank == 0:
                    write_slots(
                        partial / SLOTS, {name: each.tensor for name, each in parts.items()}
                    )
                if ranks.rank == 0:
                    self._write_model(partial, weights, progress)
            self._publish(path, progress)

        if self.background:
            self._running.start(write)
        else:
            write()
        return path

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            CheckpointError: it could not be written.
        """
        self._running.wait()

    def check_empty(self) -> None:
        """Refuse to start a new run among the checkpoints of another one.

        Raises:
            UsageError: the folder holds checkpoints.
        """
        names = [path.name for path in self.folder.glob("step-*")]
        if self.ranks.rank == 0 and any(run_folder.step_of(name) is not None for name in names):
            raise UsageError(
                f"{self.folder} holds the checkpoints of an earlier run. Resume it, overwrite it, "
                "or name another folder."
            )

    def tidy(self) -> None:
        """Remove what a killed run left half done; to be called when nothing can be refused."""
        if self.ranks.rank:
            return
        run_folder.remove_leftovers(self.folder)
        if run_folder.checkpoints(self.folder):
            earlier.remove(self.folder)

    def resume(self, at: int | None = None) -> Progress | None:
        """Load a checkpoint's weights; :meth:`load_slots` brings the rest.

        Args:
            at: its step, which must be the newest; the newest one, whichever, when None.

        Returns:
            where the run stood; None, when there is no checkpoint yet.

        Raises:
            CheckpointError: the checkpoint is of another model.
            FormatError: a file is garbled.
            UsageError: there is no checkpoint of that step, or later ones, or a damaged later one.
        """
        step = torch.tensor([run_folder.newest_step(self.folder) if self.ranks.rank == 0 else 0])
        self.ranks.sum([step])  # rank 0's, for all
        if at is not None and step != at:
            there = "none" if step < 0 else f"step {int(step)} is the newest"
            raise UsageError(
                f"{self.folder}: a checkpoint of step {at} was asked for, and {there}. --resume "
                "goes on from the newest; to go back to an earlier one, move the later ones away."
            )
        if step < 0:
            log.warning("%s has no checkpoint yet; starting at step 0.", self.folder)
            return None
        path = self.folder / checkpoint.step_name(int(step))
        values = files.read_json(path / STATE)
        try:
            progress = Progress(**{**values, "scaler": Scaler(**values["scaler"])})
        except (KeyError, TypeError) as error:
            raise FormatError(f"{path / STATE} is not a training state: {error}.") from None
        checkpoint.load(self.model, checkpoint.read(path).tensors(), source=str(path))
        if self.ranks.rank == 0:
            self._point(path, progress)
        log.info("resuming after step %d (%s)", progress.step, path.name)
        return progress

    def load_slots(self, optimizer: Optimizer, step: int) -> None:
        """Load the optimizer's slots of a checkpoint.

        Raises:
            CheckpointError: they are of another optimizer or model.
            FormatError: the file is garbled.
        """
        folder = self.folder / checkpoint.step_name(step)
        own = self.ranks.parts(optimizer.state())
        if (path := folder / SLOTS).is_file():
            stored = read_slots(path)
            optimizer.check({name: tuple(each.shape) for name, each in stored.items()}, own)
            for name, part in own.items():
                part.tensor.copy_(part.of(stored[name]))
        else:
            from plainbert.train.sharded_optimizer_state import read_parts, read_sizes

            optimizer.check(read_sizes(folder / PARTS), own)
            read_parts(folder / PARTS, own)

    def _agreed(self, mine: bool) -> bool:
        """Rank 0's answer, on all ranks."""
        answer = torch.tensor([int(mine and self.ranks.rank == 0)])
        self.ranks.sum([answer])
        return bool(answer)

    def _check_shared(self, partial: Path) -> None:
        if not partial.is_dir():
            raise UsageError(
                f"rank {self.ranks.rank} does not see {partial}, which rank 0 has made: the run "
                "folder must be on a disk that all hosts share."
            )

    def _write_model(
        self, partial: Path, weights: Mapping[str, Tensor], progress: Progress
    ) -> None:
        inner = checkpoint.write(
            partial / "model",
            self.model,
            self.tokenizer,
            about={**self.about, "step": progress.step},
            tensors=weights,
        )
        for item in inner.iterdir():
            item.rename(partial / item.name)
        inner.rmdir()
        files.write_json(partial / STATE, asdict(progress))

    def _publish(self, path: Path, progress: Progress) -> None:
        if self.ranks.rank == 0:
            self._point(path, progress)
            earlier.remove(self.folder)
            self._remove_old(path, progress)

    def _point(self, last: Path, progress: Progress) -> None:
        checkpoint.point_last(last)
        best = self.folder / checkpoint.step_name(progress.best_step)
        if progress.best is not None and best.is_dir():
            checkpoint.point_best(best)

    def _remove_old(self, last: Path, progress: Progress) -> None:
        best = self.folder / checkpoint.step_name(progress.best_step)
        paths = run_folder.checkpoints(self.folder)
        older = [path for path in paths if path not in (last, best)]
        for path in older[: max(0, len(older) - self.keep)]:
            run_folder.remove_checkpoint(path)


def check_order(progress: Progress, order: dict[str, Any]) -> None:
    """Refuse to resume with another order of the data than the run began with.

    Raises:
        CheckpointError: names what differs.
    """
    if progress.order and progress.order != order:
        differ = [key for key in order if progress.order.get(key) != order[key]]
        was = ", ".join(f"{key} {progress.order.get(key)}, now {order[key]}" for key in differ)
        raise CheckpointError(
            f"the run was started with {was}. A resumed run sees the data in the order in which "
            "it began: use the same values, or start anew with --overwrite."
        )
    progress.order = order
