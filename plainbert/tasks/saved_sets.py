"""Data sets that the ``datasets`` library saved on disk."""

from __future__ import annotations

from pathlib import Path


def is_saved(folder: Path) -> bool:
    """Whether ``DatasetDict.save_to_disk`` wrote the folder."""
    return (folder / "dataset_dict.json").is_file()
