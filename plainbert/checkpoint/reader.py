"""Open a checkpoint folder: ours, Hugging Face's, or one that ``sentence-transformers`` wrote."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plainbert import files
from plainbert.checkpoint.sentence import Sentence, read_sentence
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError
from plainbert.nn.names import head_of

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model.safetensors.index.json"
CONFIGS = ("config.json", "bert_config.json")


@dataclass(frozen=True)
class Checkpoint:
    """What a folder says about its model; the weights are read only by :meth:`tensors`.

    Attributes:
        folder: the real folder, links followed.
        config: sizes, architecture, labels.
        about: ``plainbert.json``: task, length, pooling, how it was trained. Empty in folders
            that others wrote.
        weights: the weight files, in order.
        pooling: the folder's own pooling ("mean", "cls", "max", or a name that we have no pooling
            for), None when it states none.
        normalize: whether sentence vectors get length 1.
        max_length: tokens kept per text, counting [CLS] and [SEP]; None when not stated.
    """

    folder: Path
    config: BertConfig
    about: dict[str, Any]
    weights: tuple[Path, ...]
    pooling: str | None = None
    normalize: bool = False
    max_length: int | None = None

    @property
    def head(self) -> str | None:
        """The head that the config describes, a name of :mod:`plainbert.nn.names`."""
        for architecture in self.config.architectures:
            return head_of(architecture, self.config.problem_type, self.config.num_labels)
        return None

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the weight files under its name there.

        Safetensors files and zip-format torch files are mapped into memory, not read: what is
        not used costs nothing.

        Raises:
            FormatError: a file is truncated, garbled, or holds anything but tensors.
            CheckpointError: the index of a sharded checkpoint and its files disagree.
        """
        found: dict[str, Tensor] = {}
        for path in self.weights:
            found.update(_safetensors(path) if path.suffix == ".safetensors" else _torch(path))
        if (index := self.folder / INDEX) in _index_used(self):
            lost = sorted(set(files.read_json(index)["weight_map"]) - set(found))
            if lost:
                raise CheckpointError(f"{index} names tensors that no file holds: {_some(lost)}.")
        return found


def read(folder: str | Path) -> Checkpoint:
    """Open a folder and check that its parts are there.

    Args:
        folder: a checkpoint folder, or a link to one such as ``best``.

    Raises:
        CheckpointError: there is no such folder, or it lacks a config or weights.
        FormatError: a JSON file in it is garbled.
    """
    given = Path(folder).expanduser()
    if not given.is_dir():
        state = "is a file" if given.exists() else "does not exist"
        if given.is_symlink() and not given.exists():
            state = f"links to {given.readlink()}, which does not exist"
        raise CheckpointError(f"{given} {state}; a checkpoint folder is expected.")
    folder = given.resolve()
    config_path = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if config_path is None:
        runs = [name for name in ("best", "last") if (given / name).is_dir()]
        hint = f" It is a run folder; its model is {given / runs[0]}." if runs else ""
        raise CheckpointError(f"{given} has no config.json.{hint}")
    config = BertConfig.from_file(config_path)
    own = folder / "plainbert.json"
    about = files.read_json(own) if own.is_file() else {}
    sentence = _sentence(folder, about)
    return Checkpoint(folder, config, about, _weights(folder), *sentence)


def _sentence(folder: Path, about: dict[str, Any]) -> Sentence:
    """Our own file's pooling and length; what it leaves out, from sentence-transformers' files."""
    theirs = read_sentence(folder)
    pooling = about.get("pooling", theirs.pooling)
    normalize = about.get("normalize", theirs.normalize)
    length = about.get("max_length", theirs.max_length)
    if not isinstance(length, int | None) or (length is not None and length < 1):
        raise FormatError(f"{folder / 'plainbert.json'}: max_length={length!r} is not a length.")
    return Sentence(pooling, bool(normalize), length)


def _weights(folder: Path) -> tuple[Path, ...]:
    """The weight files of a folder: safetensors, shards, or an old torch file."""
    if (single := folder / "model.safetensors").is_file():
        return (single,)
    if (index := folder / INDEX).is_file():
        return _shards(index)
    if (old := folder / "pytorch_model.bin").is_file():
        return (old,)
    raise CheckpointError(
        f"{folder} has no weights: none of model.safetensors, {INDEX}, pytorch_model.bin."
    )


def _shards(index: Path) -> tuple[Path, ...]:
    """The files of a sharded checkpoint, which must lie beside its index."""
    table = files.read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise FormatError(f"{index} has no weight_map.")
    names = sorted({str(name) for name in table.values()})
    for name in names:
        # A name such as ../../x or /etc/x would open a file that is not part of the model.
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise FormatError(
                f"{index} names the file {name!r}; a .safetensors file in the same folder is "
                "expected."
            )
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent} lacks {name}, which its index names.")
    return tuple(index.parent / name for name in names)


def _index_used(checkpoint: Checkpoint) -> tuple[Path, ...]:
    single = checkpoint.folder / "model.safetensors"
    index = checkpoint.folder / INDEX
    return (index,) if index.is_file() and single not in checkpoint.weights else ()


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(
            f"{path} cannot be read ({error}); it is truncated or not a safetensors file. "
            "Copy or download it again."
        ) from None


def _torch(path: Path) -> dict[str, Tensor]:
    """A file of ``torch.save``, old or new, without running anything that is in it."""
    import torch

    try:
        # Files of torch < 1.6 are no zip archives and cannot be mapped.
        values = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise FormatError(
                f"{path} holds more than tensors, which could run code; it was not opened."
            ) from None
        raise FormatError(f"{path} cannot be read ({_first_line(error)}).") from None
    except Exception as error:  # torch raises anything at all on garbled files
        raise FormatError(
            f"{path} cannot be read ({type(error).__name__}: {_first_line(error)}); it is "
            "truncated or not a torch file."
        ) from None
    if not isinstance(values, dict):
        raise FormatError(f"{path} holds a {type(values).__name__}; named tensors are expected.")
    strange = [str(name) for name, value in values.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise FormatError(f"{path} holds entries that are no tensors: {_some(strange)}.")
    return {str(name): value for name, value in values.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _some(names: list[str]) -> str:
    """Names for a message: all, or the first eight and how many more."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
