"""Checkpoints of a run: folders ``step-0001200`` with the model and what resuming needs.

Beside the model's own files a folder holds ``training.safetensors`` (the optimizer's slots) and
``training.json`` (everything else). Nothing is pickled.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from plainbert import checkpoint, files
from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.nn.headed import Headed
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.optim import Optimizer
from plainbert.train.step import Scaler

log = logging.getLogger(__name__)

SLOTS, STATE = "training.safetensors", "training.json"


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
        keep: older checkpoints to keep beside the best and the last.
    """

    def __init__(
        self,
        folder: Path,
        model: Headed,
        tokenizer: Tokenizer,
        about: dict[str, Any] | None = None,
        keep: int = 0,
    ) -> None:
        self.folder, self.model, self.tokenizer = folder, model, tokenizer
        self.about, self.keep = dict(about or {}), keep

    def save(self, optimizer: Optimizer, progress: Progress) -> Path:
        """Write a checkpoint, point ``last`` and ``best`` to theirs, remove old ones.

        A kill at any moment leaves either the old state or the new one.
        """
        path = self.folder / checkpoint.step_name(progress.step)
        if not path.exists():
            self._write(path, optimizer, progress)
        self._point(path, progress)
        self._remove_old(path, progress)
        return path

    def check_empty(self) -> None:
        """Refuse to start a new run among the checkpoints of another one.

        Raises:
            UsageError: the folder holds checkpoints.
        """
        if any(self.folder.glob("step-*")):
            raise UsageError(
                f"{self.folder} holds the checkpoints of an earlier run. Resume it, overwrite it, "
                "or name another folder."
            )
        files.remove_leftovers(self.folder)

    def newest(self) -> Path | None:
        """The newest checkpoint that can be resumed; folders appear whole, so all of them are."""
        found = sorted(path.parent for path in self.folder.glob(f"step-*/{STATE}"))
        return found[-1] if found else None

    def resume(self) -> Progress | None:
        """Load the newest checkpoint's weights; :meth:`load_slots` brings the rest.

        Returns:
            where the run stood; None, when there is no checkpoint yet.

        Raises:
            CheckpointError: the checkpoint is of another model.
            FormatError: a file is garbled.
        """
        files.remove_leftovers(self.folder)
        path = self.newest()
        if path is None:
            log.warning("%s has no checkpoint yet; starting at step 0.", self.folder)
            return None
        values = files.read_json(path / STATE)
        try:
            progress = Progress(**{**values, "scaler": Scaler(**values["scaler"])})
        except (KeyError, TypeError) as error:
            raise FormatError(f"{path / STATE} is not a training state: {error}.") from None
        checkpoint.load(self.model, checkpoint.read(path).tensors(), source=str(path))
        self._point(path, progress)
        log.info("resuming after step %d (%s)", progress.step, path.name)
        return progress

    def load_slots(self, optimizer: Optimizer, step: int) -> None:
        """Load the optimizer's slots of a checkpoint.

        Raises:
            CheckpointError: they are of another optimizer or model.
            FormatError: the file is garbled.
        """
        path = self.folder / checkpoint.step_name(step) / SLOTS
        try:
            slots = load_file(path)
        except Exception as error:  # safetensors has its own, undocumented classes
            raise FormatError(f"{path} cannot be read: {error}.") from None
        optimizer.load(slots)

    def _write(self, path: Path, optimizer: Optimizer, progress: Progress) -> None:
        with files.new_folder(path) as partial:
            inner = checkpoint.write(
                partial / "model", self.model, self.tokenizer,
                about={**self.about, "step": progress.step},
            )  # fmt: skip
            for item in inner.iterdir():
                item.rename(partial / item.name)
            inner.rmdir()
            slots = {name: each.detach().cpu() for name, each in optimizer.state().items()}
            save_file(slots, partial / SLOTS)
            (partial / SLOTS).chmod((partial / "config.json").stat().st_mode)
            files.write_json(partial / STATE, asdict(progress))

    def _point(self, last: Path, progress: Progress) -> None:
        checkpoint.point_last(last)
        best = self.folder / checkpoint.step_name(progress.best_step)
        if progress.best is not None and best.is_dir():
            checkpoint.point_best(best)

    def _remove_old(self, last: Path, progress: Progress) -> None:
        best = self.folder / checkpoint.step_name(progress.best_step)
        older = [path for path in sorted(self.folder.glob("step-*")) if path not in (last, best)]
        for path in older[: max(0, len(older) - self.keep)]:
            # Renamed first: half a checkpoint must never carry a checkpoint's name.
            gone = path.with_name(f".{path.name}.old{files.PARTIAL}")
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


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
