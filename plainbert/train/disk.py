"""Whether the disk of a run folder can hold the run, seen before its first step."""

from __future__ import annotations

import shutil
from pathlib import Path

from plainbert.errors import UsageError


def check(folder: Path, size: int, number: int) -> None:
    """Refuse a disk that is too full for a run's checkpoints.

    Args:
        folder: of the run; it is made where it is not there yet.
        size: bytes of a checkpoint.
        number: of checkpoints that will be there at a time, beside those that are there.

    Raises:
        UsageError: training would end at a checkpoint that cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if number * size > free:
        raise UsageError(
            f"{folder}: the run needs {_megabytes(number * size)} on disk for {number} "
            f"checkpoint(s) of {_megabytes(size)}, and {_megabytes(free)} are free. Free some, "
            "name another folder with --output_dir, or keep fewer with --keep_checkpoints."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
