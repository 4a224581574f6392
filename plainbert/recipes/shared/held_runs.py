"""Whether a folder holds a run, as far as its names show it. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plainbert.errors import PlainBertError, UsageError
from plainbert.recipes.shared.lock import Lock

ARGS_FILE = "args.json"


def run_in(folder: Path, resumable: bool) -> UsageError:
    """What to say about a folder that holds a run, which a new one would mix with.

    Args:
        folder: of ``--output_dir``.
        resumable: whether the command can go on with a run.
    """
    go_on = "--resume to go on with it, " if resumable else ""
    return UsageError(
        f"--output_dir {folder} holds a run. Add {go_on}--overwrite to start anew there, "
        "or name another folder."
    )


def no_run_in(folder: Path) -> UsageError:
    """What to say where there is no run to go on with.

    Args:
        folder: of ``--output_dir``.
    """
    return UsageError(
        f"--resume: {folder} holds no run (no {ARGS_FILE}). Leave --resume out to start one, "
        "or name the folder of an earlier run with --output_dir."
    )


def folder_problems(folder: Path, resume: bool, overwrite: bool) -> Iterator[PlainBertError]:
    """What is wrong with the folder of a training.

    Args:
        folder: of ``--output_dir``.
        resume: whether a run in it is to go on.
        overwrite: whether a run in it is to be replaced.
    """
    if resume and not folder.exists():
        yield no_run_in(folder)
    begun = (folder / ARGS_FILE).is_file() and any(folder.glob("step-*"))
    if begun and not resume and not overwrite:
        try:
            Lock.take(folder).release()
        except UsageError as in_use:
            yield in_use
        else:
            yield run_in(folder, resumable=True)
