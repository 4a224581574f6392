"""Whether the disk of a run folder can hold the run, seen before its first step."""

from __future__ import annotations

import shutil
from pathlib import Path

from plainbert.errors import UsageError


def check(folder: Path, size: int, number: int) -> None:
    """Refuse a disk that is too full for a run's checkpoints.

    Args:
        folder: of the run.
        size: bytes of a checkpoint.
        number: of checkpoints that will be there at a time, beside those that are there.

    Raises:
        UsageError: training would end at a checkpoint that cannot be written.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if number * size > free:
        raise UsageError(
            f"{folder}: the run needs {_megabytes(number * size)} on disk for {number} "
            f"checkpoint(s) of {_megabytes(size)}, and {_megabytes(free)} are free. Free some, "
            "name another folder with --output_dir, or keep fewer with --keep_checkpoints."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
