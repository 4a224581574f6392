"""Checkpoints of a run: folders ``step-0001200`` with the model, and what resuming needs.

Beside the model's own files such a folder holds ``training.json``, where the run stood. The
optimizer state is twice as large as the model and of use to the run alone: it lies apart, in
``state-0001200`` (``training.safetensors``; or ``training``, a folder to which every rank wrote its
shards), and only as long as the run may go on from there. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from plainbert import checkpoint, files
from plainbert.errors import FormatError, UsageError
from plainbert.keys import run_files, schema
from plainbert.nn.headed import Headed
from plainbert.text.tokenizer import Tokenizer
from plainbert.train import disk, earlier, run_folder
from plainbert.train.background import Background
from plainbert.train.optim import Optimizer
from plainbert.train.optimizer_state import read_state, write_state
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.train.progress import RunProgress
from plainbert.train.run_folder import OPTIMIZER_FILE, OPTIMIZER_FOLDER, STATE, state_folder
from plainbert.train.settings import Settings
from plainbert.train.step import Scaler

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoint folders of one run.

    Args:
        folder: the run folder.
        model: whose weights are saved and loaded.
        tokenizer: saved with every checkpoint.
        about: what ``plainbert.json`` says, beside the step.
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
        # Before ranks cut the weights up: a file holds them whole, in float32.
        self._weights_size = 4 * sum(weight.numel() for weight in model.parameters())

    def save(self, optimizer: Optimizer, progress: RunProgress) -> Path:
        """Write a checkpoint, point ``last`` and ``best`` to theirs, remove old ones.

        All ranks must call. A kill at any moment leaves either the old state or the new one. In
        the background, the call returns when everything is copied; the next one waits for it. The
        first checkpoint of a run that overwrites another is the end of that one.

        Args:
            optimizer: whose state is saved.
            progress: where the run stands.

        Returns:
            the folder.

        Raises:
            CheckpointError: it could not be written, as weights are not finite for example, or, in
                the background, the one before.
            UsageError: something else has the checkpoint's name.
        """
        self.wait()
        ranks = self.ranks
        path = self.folder / checkpoint.step_name(progress.step)
        if self._agreed(run_folder.is_checkpoint(path)):
            self._publish(path, progress)
            return path
        if ranks.shards_optimizer and self._group is None:
            self._group = ranks.checkpoint_group()
        weights = ranks.weights(self.model)
        writes_optimizer = ranks.shards_optimizer or ranks.rank == 0
        state = ranks.optimizer_shards(optimizer.state()) if writes_optimizer else {}
        shards = {name: shard.on_cpu(copy=self.background) for name, shard in state.items()}
        if self.background:
            progress = copy.deepcopy(progress)
            weights = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()
            }
        folder = contextlib.ExitStack()
        partial = files.partial_folder(path)
        partial_state = files.partial_folder(state_folder(path))
        if ranks.rank == 0:
            folder.enter_context(files.new_folder(path))
            # Complete before the checkpoint is: that can be resumed once it has its name.
            folder.enter_context(files.new_folder(state_folder(path)))
        if ranks.shards_optimizer:
            ranks.barrier()
            self._check_shared(partial_state)

        def write() -> None:
            with folder:
                if ranks.shards_optimizer:
                    from plainbert.train.sharded_optimizer_state import write_shards

                    write_shards(partial_state / OPTIMIZER_FOLDER, shards, self._group)
                elif ranks.rank == 0:
                    tensors = {name: shard.tensor for name, shard in shards.items()}
                    write_state(partial_state / OPTIMIZER_FILE, tensors)
                if ranks.rank == 0:
                    about = {**self.about, "step": progress.step}
                    checkpoint.write_into(partial, self.model, self.tokenizer, about, weights)
                    files.write_json(partial / STATE, asdict(progress))
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

    def finish(self) -> None:
        """The run has made all its steps: wait, and keep what going on needs of the last only.

        Raises:
            CheckpointError: the last checkpoint could not be written.
        """
        self.wait()
        if self.ranks.rank == 0:
            run_folder.remove_states(self.folder, keep=0)

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

    def check_disk(self, optimizer: Optimizer, saves: int) -> None:
        """Refuse a disk that cannot take the checkpoints that are to come.

        Args:
            optimizer: whose state they hold.
            saves: how often one will be written.

        Raises:
            UsageError: there is no room.
        """
        if self.ranks.rank or not saves:
            return
        state = sum(tensor.nbytes for tensor in optimizer.state().values())
        state *= self.ranks.size if self.ranks.shards_optimizer else 1
        there = len(run_folder.checkpoints(self.folder))
        # The last one stays until the next one is complete.
        most = min(there + saves, self.keep + 2)
        disk.check(self.folder, self._weights_size + state, max(1, most - there))

    def tidy(self) -> None:
        """Remove what a killed run left half done; to be called when nothing can be refused."""
        if self.ranks.rank:
            return
        run_folder.remove_leftovers(self.folder)
        run_folder.remove_states(self.folder, self.keep)
        if run_folder.checkpoints(self.folder):
            earlier.remove(self.folder)

    def resume(self, at: int | None = None) -> RunProgress | None:
        """Load a checkpoint's weights; :meth:`load_optimizer` brings the rest.

        Args:
            at: step of the checkpoint, which must be the newest; None: the newest, whichever it is.

        Returns:
            where the run stood; None, when there is no checkpoint yet.

        Raises:
            CheckpointError: the checkpoint is of another model.
            FormatError: a file is garbled.
            UsageError: there is no checkpoint of that step, or later ones, or a damaged later one.
        """
        if self.ranks.rank == 0:
            run_folder.restore(self.folder)
        step = torch.tensor([run_folder.newest_step(self.folder) if self.ranks.rank == 0 else 0])
        self.ranks.sum([step])  # rank 0's, for all
        if at is not None and step != at:
            newest = "none" if step < 0 else f"step {int(step)} is the newest"
            raise UsageError(
                f"{self.folder}: a checkpoint of step {at} was asked for, and {newest}. --resume "
                "goes on from the newest; to go back to an earlier one, move the later ones and "
                "their states away."
            )
        if step < 0:
            log.warning("%s has no checkpoint yet; starting at step 0.", self.folder)
            return None
        path = self.folder / checkpoint.step_name(int(step))
        fields = files.read_json(path / STATE)
        where = f"{path / STATE} is not a training state: it"
        schema.check_forms(fields, run_files.STATE, where, ("step", "scaler"))
        try:
            progress = RunProgress(**{**fields, "scaler": Scaler.stored(fields["scaler"])})
            # JSON has no NaN: a loss that was none is null there.
            for name, total in progress.losses.items():
                progress.losses[name] = math.nan if total is None else total
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path / STATE} is not a training state: {error}.") from None
        checkpoint.load(self.model, checkpoint.read(path).tensors(), source=str(path))
        if self.ranks.rank == 0:
            self._point(path, progress)
        log.info("resuming after step %d (%s)", progress.step, path.name)
        return progress

    def load_optimizer(self, optimizer: Optimizer, step: int) -> None:
        """Load the optimizer state of a checkpoint.

        Args:
            optimizer: its state is overwritten.
            step: of the checkpoint.

        Raises:
            CheckpointError: the state is of another optimizer or model.
            FormatError: the file is garbled.
            UsageError: there is none.
        """
        folder = run_folder.optimizer_state(self.folder / checkpoint.step_name(step))
        own = self.ranks.optimizer_shards(optimizer.state())
        if (path := folder / OPTIMIZER_FILE).is_file():
            stored = read_state(path)
            optimizer.check({name: tuple(tensor.shape) for name, tensor in stored.items()}, own)
            for name, shard in own.items():
                shard.tensor.copy_(shard.of(stored[name]))
        else:
            from plainbert.train.sharded_optimizer_state import read_shards, read_sizes

            optimizer.check(read_sizes(folder / OPTIMIZER_FOLDER), own)
            read_shards(folder / OPTIMIZER_FOLDER, own)

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

    def _publish(self, path: Path, progress: RunProgress) -> None:
        if self.ranks.rank == 0:
            self._point(path, progress)
            earlier.remove(self.folder)
            self._remove_old(path, progress)

    def _point(self, last: Path, progress: RunProgress) -> None:
        run_folder.point(self.folder / "last", last)
        best = self.folder / checkpoint.step_name(progress.best_step)
        if progress.best is not None and best.is_dir():
            run_folder.point(self.folder / "best", best)

    def _remove_old(self, last: Path, progress: RunProgress) -> None:
        best = self.folder / checkpoint.step_name(progress.best_step)
        paths = run_folder.checkpoints(self.folder)
        older = [path for path in paths if path not in (last, best)]
        for path in older[: max(0, len(older) - self.keep)]:
            run_folder.remove_checkpoint(path)
        run_folder.remove_states(self.folder, self.keep)
