"""What a run has in its folder, and how it is told from what others put there."""

from __future__ import annotations

import filecmp
import os
import re
from pathlib import Path

from plainbert import files
from plainbert.checkpoint import step_name
from plainbert.containers.weight_files import SAFETENSORS
from plainbert.errors import UsageError
from plainbert.infer.evaluation import RESULTS_FILE

ARGS_FILE, LOG_FILE, METRICS_FILE = "args.json", "log.txt", "metrics.jsonl"
STATE = "training.json"  # in every checkpoint of a run, and in no other model folder
# The optimizer state: one file, or a folder of what every rank wrote. It has a folder of its own
# beside the model; earlier versions put it into the model's.
OPTIMIZER_FILE, OPTIMIZER_FOLDER = "training.safetensors", "training"
UNTRAINED = "untrained"  # the model that a run from scratch begins with, where it keeps one
LINKS = ("best", "last")

_EVENTS = re.compile(r"events\.out\.tfevents\.\d+\..+")
# What is half written when a run is killed. Others may be writing other files there meanwhile.
_LEFTOVERS = (
    rf"(?:step|state)-\d{{7,}}(?:\.old)?|best|last|{UNTRAINED}|args\.json|metrics\.jsonl|"
    r"overwritten"
)
# What versions before the mark left: how it is named, and what it is.
_OLD_LEFTOVERS = (
    (re.compile(r"\.step-\d{7,}(?:\.old)?\.tmp"), Path.is_dir),
    (re.compile(r"\.(?:best|last)\.tmp"), Path.is_symlink),
    (re.compile(r"\.(?:args\.json|metrics\.jsonl)\.[a-z0-9_]{8}\.tmp"), Path.is_file),
)


def step_of(name: str) -> int | None:
    """The step in the name of a checkpoint; None for every name that we would not write.

    Example:
        >>> step_of("step-0001200"), step_of("step-0001200-keep"), step_of("step-1200")
        (1200, None, None)
    """
    match = re.fullmatch(r"step-([0-9]{7,})", name)
    if match is None or step_name(int(match[1])) != name:
        return None
    return int(match[1])


def state_folder(checkpoint: Path) -> Path:
    """Where the optimizer state that belongs to a checkpoint lies.

    Example:
        >>> state_folder(Path("runs/step-0001200")).name
        'state-0001200'
    """
    return checkpoint.with_name(checkpoint.name.replace("step-", "state-", 1))


def states(folder: Path) -> list[Path]:
    """The optimizer states of the run in a folder, by step, also those without a checkpoint."""
    return sorted(path for path in _named_as_states(folder) if _has_state(path))


def optimizer_state(checkpoint: Path) -> Path:
    """The folder with the optimizer state of a checkpoint.

    Raises:
        UsageError: there is none.
    """
    own = state_folder(checkpoint)
    for path in (own, checkpoint):
        if _has_state(path):
            return path
    raise UsageError(
        f"{own} is not there: it holds the optimizer's state, without which {checkpoint.name} can "
        "be used as a model, and not resumed."
    )


def _named_as_states(folder: Path) -> list[Path]:
    paths = folder.glob("state-*")
    return [path for path in paths if step_of(path.name.replace("state-", "step-", 1)) is not None]


def _has_state(path: Path) -> bool:
    return (path / OPTIMIZER_FILE).is_file() or (path / OPTIMIZER_FOLDER).is_dir()


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is a checkpoint that a run wrote: by its name, and the state inside."""
    return step_of(path.name) is not None and (path / STATE).is_file()


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of the run in a folder, by step; a user's copies are none.

    They appear whole, so each of them can be resumed.
    """
    paths = [path for path in folder.glob("step-*") if is_checkpoint(path)]
    return sorted(paths, key=lambda path: step_of(path.name) or 0)


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint; -1 when there is none.

    Raises:
        UsageError: what has the name of a later one is none.
    """
    newest = max((step_of(path.name) or 0 for path in checkpoints(folder)), default=-1)
    for path in in_the_way(folder):
        if (step_of(path.name) or -1) > newest:
            raise UsageError(
                f"{path} has the name of a later checkpoint and no {STATE}: it cannot be resumed, "
                "and is in the way of the one that will be written. Move it elsewhere."
            )
    return newest


def written(folder: Path) -> list[Path]:
    """What the run in a folder wrote to be read as a run; ``args.json`` is the last.

    Predictions, exports and caches are not among it, nor anything that others put there.
    """
    paths = [*checkpoints(folder), *states(folder)]
    paths += [path for name in LINKS if _is_link(path := folder / name)]
    paths += [path for path in folder.glob("events.out.*") if _EVENTS.fullmatch(path.name)]
    if (folder / UNTRAINED / SAFETENSORS).is_file():
        paths.append(folder / UNTRAINED)
    names = (LOG_FILE, METRICS_FILE, RESULTS_FILE, ARGS_FILE)
    return paths + [path for name in names if os.path.lexists(path := folder / name)]


def is_begun(folder: Path) -> bool:
    """Whether the run in a folder left more than what it says of itself at its start."""
    mere = (ARGS_FILE, LOG_FILE)
    return any(
        path.name not in mere and not _EVENTS.fullmatch(path.name) for path in written(folder)
    )


def in_the_way(folder: Path) -> list[Path]:
    """What has a name that a run needs for its checkpoints, and was written by none."""
    named = [path for path in folder.glob("step-*") if step_of(path.name) is not None]
    paths = [path for path in sorted(named) if not is_checkpoint(path)]
    paths += [path for path in sorted(_named_as_states(folder)) if not _has_state(path)]
    links = [folder / name for name in LINKS]
    return paths + [path for path in links if os.path.lexists(path) and not _is_link(path)]


def remove_checkpoint(path: Path) -> None:
    """Delete a checkpoint, or the state of one; a kill leaves no half of one under its name."""
    gone = path.with_name(f".{path.name}.old{files.PARTIAL}")
    files.remove(gone)
    path.rename(gone)
    files.remove(gone)


def remove_states(folder: Path, keep: int) -> None:
    """Delete the optimizer states that no run goes on from: of the best checkpoint, of none.

    Args:
        folder: of the run.
        keep: how many older checkpoints than the last, the best aside, keep theirs.
    """
    paths = checkpoints(folder)
    best = files.followed(folder / "best").resolve().name
    older = [path for path in paths[:-1] if path.name != best]
    kept = [state_folder(path) for path in (*paths[-1:], *(older[-keep:] if keep else ()))]
    for path in states(folder):
        if path not in kept:
            remove_checkpoint(path)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed run of ours left half written in its folder."""
    files.remove_leftovers(folder, _LEFTOVERS)
    if not (folder / ARGS_FILE).is_file():
        return
    for path in folder.glob(".*.tmp"):
        if any(form.fullmatch(path.name) and fits(path) for form, fits in _OLD_LEFTOVERS):
            files.remove(path)


def _is_link(path: Path) -> bool:
    """Whether it is what a run has under the names ``best`` and ``last``."""
    if (name := files.target(path)) is not None:
        return step_of(name) is not None
    return is_copied_link(path)


def is_copied_link(path: Path) -> bool:
    """Whether it is a folder that a link became when its run was copied."""
    return not path.is_symlink() and (path / STATE).is_file()


def restore(folder: Path) -> None:
    """Name checkpoints again that a copy of a run folder holds under the names of links only.

    Raises:
        FormatError: the training state in one of them is garbled.
    """
    for name in LINKS:
        place = folder / name
        if is_copied_link(place):
            step = files.read_json(place / STATE).get("step")
            if isinstance(step, int) and not os.path.lexists(own := folder / step_name(step)):
                place.rename(own)


def point(link: Path, checkpoint: Path) -> None:
    """Point ``best`` or ``last`` to a checkpoint beside it.

    Raises:
        UsageError: the name is taken by something that no checkpoint here is equal to.
    """
    if link.is_dir() and not link.is_symlink():
        if not any(_is_copy(link, path) for path in checkpoints(link.parent)):
            raise UsageError(
                f"{link} is a folder and no copy of a checkpoint beside it, and a run needs its "
                "name. Move it elsewhere."
            )
        remove_checkpoint(link)
    files.point(link, checkpoint.name)


def _is_copy(folder: Path, checkpoint: Path) -> bool:
    """Whether a checkpoint has all files of a folder, byte for byte."""
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    others = [checkpoint / path.relative_to(folder) for path in paths]
    return is_copied_link(folder) and all(
        other.is_file() and filecmp.cmp(path, other, shallow=False)
        for path, other in zip(paths, others, strict=True)
    )
