"""Which checkpoint of TensorFlow's a path means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.tensorflow.bundle import is_table

INDEX = ".index"
STATE = "checkpoint"  # the file in which TensorFlow notes the newest checkpoint
STATE_BYTES = 1 << 20
DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
STEP = re.compile(r"-(\d{1,18})$")
NEWEST = re.compile(r'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A checkpoint.

    Attributes:
        prefix: what the names of its files begin with.
        assumed: how it was chosen among several, one line, or nothing.
    """

    prefix: Path
    assumed: tuple[str, ...] = ()


def looks_like(path: Path) -> bool:
    """Whether a path is a checkpoint, or a folder with one."""
    if path.is_dir():
        return bool(_candidates(path) or _old(path))
    return is_table(_index(_stem(path))) or (path.is_file() and is_table(path))


def prefix_of(path: Path) -> Found:
    """The checkpoint that a folder, prefix or file means.

    Raises:
        CheckpointError: there is none, or several and nothing tells which is the newest.
        FormatError: it is a file of TensorFlow before 0.12.
    """
    if path.is_dir():
        return _newest(path)
    prefix = _stem(path)
    if _index(prefix).is_file():
        return Found(prefix)
    if path.is_file() and is_table(path):
        raise _too_old(path)
    raise CheckpointError(
        f"{path}: there is no {_index(prefix).name} there; a folder with a TensorFlow checkpoint, "
        "the start of its files' names, or its .index file is expected."
    )


def _stem(path: Path) -> Path:
    """A path without what is behind the prefix in the names of a checkpoint's files."""
    name = DATA.sub("", path.name)
    for suffix in (INDEX, ".meta"):
        name = name.removesuffix(suffix)
    return path.with_name(name) if name else path


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + INDEX)


def _candidates(folder: Path) -> list[Path]:
    """Prefixes of the checkpoints in a folder."""
    indices = sorted(folder.glob(f"*{INDEX}"))
    return [
        folder / path.name.removesuffix(INDEX)
        for path in indices
        if not path.name.startswith(".") and is_table(path)
    ]


def _old(folder: Path) -> list[Path]:
    """Checkpoints of one file in a folder."""
    return [path for path in sorted(folder.glob("*ckpt*")) if path.is_file() and is_table(path)]


def _too_old(path: Path) -> FormatError:
    return FormatError(
        f"{path} is a checkpoint in the format of TensorFlow before 0.12 (V1, one file). Load it "
        "in TensorFlow and write it anew with tf.compat.v1.train.Saver, whose format is V2."
    )


def _newest(folder: Path) -> Found:
    """The checkpoint of a folder that training wrote last."""
    candidates = _candidates(folder)
    if len(candidates) == 1:
        return Found(candidates[0])
    if not candidates:
        if old := _old(folder):
            raise _too_old(old[0])
        cut = sorted(path.name for path in folder.glob(f"*{INDEX}"))
        hint = f"{', '.join(cut)} is damaged" if cut else "there is no .index file"
        raise CheckpointError(f"{folder}: {hint}; a TensorFlow checkpoint is expected.")
    stated = _stated(folder)
    if stated in [path.name for path in candidates]:
        return Found(folder / stated, (f"{stated}: the newest, by the file {STATE}",))
    steps = {int(match[1]): path for path in candidates if (match := STEP.search(path.name))}
    if steps:
        last = steps[max(steps)]
        return Found(last, (f"{last.name}: the one of the highest step",))
    raise CheckpointError(
        f"{folder} holds several checkpoints "
        f"({', '.join(path.name for path in candidates[:8])}), and "
        "nothing says which is the newest. Give the path of one."
    )


def _stated(folder: Path) -> str:
    """The name of the newest checkpoint by TensorFlow's note; only the last part of a path there.

    Folders move, so the path is mostly wrong; and it must not lead anywhere else.
    """
    try:
        with (folder / STATE).open("rb") as file:
            text = file.read(STATE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    match = NEWEST.search(text)
    return re.split(r"[/\\]", match[1])[-1] if match else ""
