"""What a user's word for a model means: a path, or a published model."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from plainbert import files
from plainbert.errors import CheckpointError, UnknownNameError
from plainbert.hub import records
from plainbert.hub.records import Record


def path_or_record(name_or_folder: str | Path) -> Path | Record:
    """What is there under a name, or what was published under it.

    Args:
        name_or_folder: a folder or file, a short name, ``MODEL_DATASET``, or a Hub repository.

    Raises:
        UnknownNameError: neither a path nor a known name.
        UsageError: a name of a model that is not BERT.
        CheckpointError: a path that does not exist.
    """
    path = path_of(name_or_folder)
    if path is not None:
        return path
    path = Path(name_or_folder)
    record = record_of(str(name_or_folder))
    if record is not None:
        return record
    if len(path.parts) > 1:
        raise CheckpointError(f"{str(path)[:300]} does not exist; a checkpoint folder is expected.")
    records.refuse_others(str(name_or_folder))
    raise UnknownNameError(
        "folder or model",
        str(name_or_folder),
        records.short_names(),
        "Or give the path of a folder.",
    )


def path_of(name_or_folder: str | Path) -> Path | None:
    """The path that is meant, ``~`` unfolded; None where nothing is there."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # what no path can be is none
        path = files.followed(name_or_folder)
        # Reading what is there tells what is wrong with it. TensorFlow's name is a prefix.
        if path.exists() or path.is_symlink() or Path(f"{path}.index").is_file():
            return path
    return None


def record_of(name: str) -> Record | None:
    """The record of a name; one is made up for ``OWNER/NAME``, which may be on the Hub."""
    record = records.by_name(name)
    owner, _, rest = name.partition("/")
    # runs/best beside an existing runs/ is a mistyped path, not a repository.
    if record is None and _is_repository(name) and not Path(owner).exists():
        return Record("", rest, name, False, 0, "not stated", "")
    return record


def _is_repository(name: str) -> bool:
    """Whether the Hub takes a name for OWNER/NAME."""
    part = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
    forbidden = "--" in name or ".." in name or name.endswith(".git")
    return re.fullmatch(f"{part}/{part}", name) is not None and not forbidden
