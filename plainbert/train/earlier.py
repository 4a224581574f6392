"""The run that a new one replaces: set aside, removed once that has a checkpoint, or put back.

It waits in a hidden folder inside the run folder. A kill may come at any moment: ``args.json`` is
the last to be set aside and the first to be put back, so that its place tells how far that was.
"""

from __future__ import annotations

import os
from pathlib import Path

from plainbert import files
from plainbert.errors import UsageError
from plainbert.train.run_folder import ARGS_FILE, checkpoints, written

ASIDE = ".overwritten.plainbert"


def is_aside(folder: Path) -> bool:
    """Whether an earlier run waits in a run folder."""
    return (folder / ASIDE).is_dir()


def is_replaced(folder: Path) -> bool:
    """Whether, after that run was set aside as a whole, the new one has begun."""
    return (folder / ASIDE / ARGS_FILE).is_file() and (folder / ARGS_FILE).is_file()


def set_aside(folder: Path) -> None:
    """Hide the run in a folder; whatever else is in there stays."""
    aside = folder / ASIDE
    aside.mkdir()
    try:
        for path in written(folder):
            path.rename(aside / path.name)
    except BaseException:
        put_back(folder)
        raise


def put_back(folder: Path) -> None:
    """Undo :func:`set_aside`; what the new run wrote without reaching a checkpoint goes.

    Raises:
        UsageError: something else has a name of the earlier run by now.
    """
    aside = folder / ASIDE
    if (aside / ARGS_FILE).is_file():  # else no new run was there yet, or it is gone again
        assert not checkpoints(folder), "the new run has a checkpoint"
        for path in written(folder):
            files.remove(path)
    for path in sorted(aside.iterdir(), key=lambda path: path.name != ARGS_FILE):
        if os.path.lexists(place := folder / path.name):
            raise UsageError(
                f"{place} is in the way of the earlier run, which was set aside in {aside}. Move "
                "it elsewhere, then start again."
            )
        path.rename(place)
    aside.rmdir()


def remove(folder: Path) -> None:
    """Delete the run that was set aside, if there is one."""
    if is_aside(folder):
        gone = (
            folder / f".overwritten{files.PARTIAL}"
        )  # renamed first: half a run is never put back
        files.remove(gone)
        (folder / ASIDE).rename(gone)
        files.remove(gone)
