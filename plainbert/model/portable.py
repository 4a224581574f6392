"""A model on its way: to another device, into a folder, to another process or machine.

What computes is a copy that was prepared for its device and number format, and cannot be turned
back. The weights themselves are read from the folder again, or are kept where no folder has them.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import torch as safetensors

from plainbert import arguments, checkpoint, folders
from plainbert.checkpoint import Checkpoint
from plainbert.checkpoint.writer import state
from plainbert.errors import PlainBertError, UsageError
from plainbert.infer.devices import pick_device
from plainbert.infer.precision import PRECISIONS
from plainbert.infer.prepare import prepare
from plainbert.model.base import Base
from plainbert.model_zoo.convert import about_of
from plainbert.model_zoo.folder import open_stored, unfilled
from plainbert.nn.bert import Bert
from plainbert.nn.devices import device_of
from plainbert.nn.headed import Headed

Stamps = tuple[tuple[int, int], ...]


class Portable(Base):
    """What a model can be turned into."""

    _stamps: Stamps = ()  # of the weight files, when they were read

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self._stamps = _stamps(self.checkpoint)

    def original(self) -> Bert | Headed:
        """The model as its folder has it, on the CPU, in the weights' own number format.

        Raises:
            UsageError: the folder is gone, or holds other weights by now.
        """
        if self._original is not None:
            return self._original
        folder = self.checkpoint.folder
        try:
            same = _stamps(self.checkpoint) == self._stamps
            labels = self.model.config.id2label
            if same:
                return open_stored(self.checkpoint, self.tokenizer, self.head, labels).model
        except OSError:
            pass
        raise UsageError(
            f"{folder} is gone or has changed since the model was opened, and its weights are "
            "needed. Open the model again with plainbert.load, or keep the folder."
        )

    def keep(self) -> Self:
        """Keep the weights in memory, so that the folder may go."""
        if self._original is None:
            self._original = copy.deepcopy(self.original())
        return self

    def to(self, device: torch.device | str) -> Self:
        """Move to a device, as torch's modules do; the model itself is returned.

        Args:
            device: such as "cuda:0" or "cpu".

        Raises:
            UsageError: that is no device.
            DeviceError: this machine does not have it.
        """
        place = device_of(device)
        if torch.empty(0, device=place).device != torch.empty(0, device=self.device).device:
            self.model, self.device = prepare(self.original(), self.precision, place), place
        return self

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write a folder that :func:`plainbert.load`, transformers and sentence-transformers open.

        It holds the weights as they were opened, whatever number format the model computes in:
        head, labels, pooling, prompts, length limit and tokenizer with them.

        Args:
            folder: must not exist, unless ``overwrite`` replaces a model that is there.
            overwrite: replace a folder that holds a model.

        Raises:
            UsageError: the folder exists.
        """
        path, model = Path(arguments.path("folder", folder)), self.original()
        about = about_of(self.checkpoint)
        if not overwrite:
            return checkpoint.write(path, model, self.tokenizer, about=about)
        with folders.replaced_folder(path, "config.json") as partial:
            checkpoint.write_into(partial, model, self.tokenizer, about, state(model))
        return path

    def __getstate__(self) -> dict[str, Any]:
        """All that another machine needs, the weights too."""
        model = self.original()
        return {
            "head": self.head,
            "config": model.config,
            # Bytes: tensors would go between processes as a file descriptor each.
            "tensors": safetensors.save({k: v.contiguous() for k, v in state(model).items()}),
            "tokenizer": self.tokenizer,
            "name": self.name,
            "folder": str(self.checkpoint.folder),
            "about": dict(self.checkpoint.about),
            "sentence": self.checkpoint.sentence,
            "precision": str(self.precision),
            "device": str(self.device),
            "scores": self.scores,
        }

    def __setstate__(self, parts: dict[str, Any]) -> None:
        config, about = parts["config"], parts["about"]
        tensors = safetensors.load(parts["tensors"])
        pooler = any(name.endswith("pooler.dense.weight") for name in tensors)
        model = unfilled(config, parts["head"], pooler, about)
        checkpoint.load(model, tensors, False, (), parts["name"])
        try:
            device = device_of(parts["device"])
        except PlainBertError:  # the other machine had one
            device = pick_device()
        ready = prepare(model.eval(), PRECISIONS[parts["precision"]], device)
        folder = Checkpoint(Path(parts["folder"]), config, about, (), parts["sentence"])
        # By its own constructor, so that it lacks nothing; the folder may not be on this machine.
        self.__init__(  # type: ignore[misc]
            ready, parts["tokenizer"], folder, device, model, parts["name"]
        )
        self.scores = parts["scores"]


def _stamps(folder: Checkpoint) -> Stamps:
    """Size and time of each weight file."""
    stats = [path.stat() for path in folder.weights]
    return tuple((one.st_size, one.st_mtime_ns) for one in stats)
