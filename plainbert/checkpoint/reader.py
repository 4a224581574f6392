"""Open a checkpoint folder: ours, Hugging Face's, or one that ``sentence-transformers`` wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plainbert import files
from plainbert.checkpoint.names import some
from plainbert.checkpoint.sentence import (
    SentenceSettings,
    read_activation,
    read_sentence,
)
from plainbert.checkpoint.sizes import check_sizes
from plainbert.config import BertConfig
from plainbert.containers.weight_files import INDEX, WEIGHT_FILES
from plainbert.errors import CheckpointError, FormatError
from plainbert.keys import schema
from plainbert.keys.config_json import ACTIVATION_KEYS
from plainbert.keys.modules_json import transformer_folder
from plainbert.keys.own_file import OWN
from plainbert.nn.names import REFUSED, head_of

if TYPE_CHECKING:
    from torch import Tensor

CONFIGS = ("config.json", "bert_config.json")
FILE_NAME = re.compile(r"[\w][\w .+=@-]{0,199}")


@dataclass(frozen=True)
class Checkpoint:
    """What a folder says about its model; the weights are read only by :meth:`tensors`.

    Attributes:
        folder: the real folder, links followed.
        config: sizes, architecture, labels.
        about: ``plainbert.json``: task, length, pooling, how it was trained. Empty in folders
            that others wrote.
        weights: the weight files, in order.
        sentence: the folder's own way to a sentence vector, and its length limit.
        index: of sharded weights, the table that names them.
    """

    folder: Path
    config: BertConfig
    about: dict[str, Any]
    weights: tuple[Path, ...]
    sentence: SentenceSettings = SentenceSettings()
    index: Path | None = None

    @property
    def pooling(self) -> str | None:
        """How the folder pools, see :class:`SentenceSettings`."""
        return self.sentence.pooling

    @property
    def normalize(self) -> bool:
        """Whether the folder's sentence vectors get length 1."""
        return self.sentence.normalize

    @property
    def max_length(self) -> int | None:
        """Tokens kept per text, counting [CLS] and [SEP]; None when not stated."""
        return self.sentence.max_length

    @property
    def head(self) -> str | None:
        """The head that the config describes, a name of :mod:`plainbert.nn.names`."""
        for architecture in self.config.architectures:
            return head_of(architecture, self.config.problem_type, self.config.num_labels)
        return None

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the weight files under its name there.

        The files are mapped into memory, not read: what is not used costs nothing. The tensors
        may be written to, which changes no file. A folder may be replaced or removed meanwhile,
        but its files must not be overwritten in place.

        Raises:
            FormatError: a file is truncated, garbled, or holds anything but tensors.
            CheckpointError: the index of a sharded checkpoint and its files disagree, or the
                config states other sizes than the tensors have.
        """
        tensors: dict[str, Tensor] = {}
        for path in self.weights:
            part = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
            if twice := sorted(tensors.keys() & part.keys()):
                raise CheckpointError(f"{path} holds tensors of another file: {some(twice)}.")
            tensors.update(part)
        if self.index is not None:
            lost = sorted(set(files.read_json(self.index)["weight_map"]) - set(tensors))
            if lost:
                raise CheckpointError(
                    f"{self.index} names tensors that no file holds: {some(lost)}."
                )
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        check_sizes(self.config, shapes, str(self.folder))
        return tensors


def read(folder: str | Path) -> Checkpoint:
    """Open a folder and check that its parts are there.

    Args:
        folder: a checkpoint folder, or a link to one such as ``best``.

    Raises:
        CheckpointError: there is no such folder, or it lacks a config or weights.
        FormatError: a JSON file in it is garbled.
    """
    path = files.followed(folder)
    if not path.is_dir():
        state = "is a file" if path.exists() else "does not exist"
        if path.is_symlink() and not path.exists():
            state = f"links to {path.readlink()}, which does not exist"
        raise CheckpointError(f"{path} {state}; a checkpoint folder is expected.")
    outer = path.resolve()
    folder = transformer_folder(outer)
    config_path = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if config_path is None:
        runs = [name for name in ("best", "last") if files.followed(path / name).is_dir()]
        hint = f" It is a run folder; its model is {path / runs[0]}." if runs else ""
        raise CheckpointError(f"{path} has no config.json.{hint}")
    config = BertConfig.from_file(config_path)
    _check_kind(config, str(config_path))
    own = folder / "plainbert.json"
    about = schema.read(own, OWN) if own.is_file() else {}
    sentence = _sentence(outer, about)
    if (activation := read_activation(outer)) is not None:
        # Where version 4 had it, so that it goes with the config.
        config = config.replace(extra={**config.extra, ACTIVATION_KEYS[0]: activation})
    weights, index = _weights(folder)
    return Checkpoint(folder, config, about, weights, sentence, index)


def _check_kind(config: BertConfig, source: str) -> None:
    """Refuse a class that has BERT's weights but computes something else.

    Raises:
        CheckpointError: names it.
    """
    refused = [name for name in config.architectures if name in REFUSED]
    if refused:
        raise CheckpointError(
            f"{source}: architectures names {refused[0]}: a decoder that sees only the words "
            "before. plainbert's models are encoders."
        )


def _sentence(folder: Path, about: dict[str, Any]) -> SentenceSettings:
    """Our own file's pooling and length; what it leaves out, from sentence-transformers' files."""
    theirs = read_sentence(folder)
    own = {item.name: about.get(item.name) for item in fields(theirs)}
    return replace(theirs, **{name: value for name, value in own.items() if value is not None})


def _weights(folder: Path) -> tuple[tuple[Path, ...], Path | None]:
    """The weight files of a folder, safetensors before torch's, and the index of shards."""
    for name in WEIGHT_FILES:
        path = folder / name
        if path.is_file():
            if not name.endswith(INDEX):
                return (path,), None
            return _shards(path, Path(name.removesuffix(INDEX)).suffix), path
    raise CheckpointError(f"{folder} has no weights: none of {', '.join(WEIGHT_FILES)}.")


def _shards(index: Path, suffix: str) -> tuple[Path, ...]:
    """The files of a sharded checkpoint, which must lie beside its index."""
    table = files.read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise FormatError(f"{index} has no weight_map.")
    names = sorted({str(name) for name in table.values()})
    for name in names:
        # A name such as ../../x or /etc/x would open a file that is not part of the model.
        if not FILE_NAME.fullmatch(name) or not name.endswith(suffix):
            raise FormatError(
                f"{index} names the file {name[:200]!r}; a {suffix} file in the same folder is "
                "expected."
            )
        if not (index.parent / name).is_file():
            state = "is a folder" if (index.parent / name).is_dir() else "does not exist"
            raise CheckpointError(f"{index} names the file {name}, which {state}.")
    return tuple(index.parent / name for name in names)


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{path} cannot be read ({error}); it is truncated or not a safetensors file. "
            "Copy or download it again."
        ) from None


def _torch(path: Path) -> dict[str, Tensor]:
    from plainbert.containers.torch_files import read_torch

    return read_torch(path)
