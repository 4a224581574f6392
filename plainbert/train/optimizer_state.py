"""The optimizer state of a single process, or of ranks that all have the same, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from plainbert import files
from plainbert.errors import FormatError


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write whole tensors to one file."""
    save_file(dict(state), path)
    # The library lets nobody else read it.
    files.share(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """Map what :func:`write_state` wrote.

    Raises:
        FormatError: the file is garbled.
    """
    try:
        return dict(load_file(path))
    except Exception as error:  # safetensors has its own, undocumented classes
        raise FormatError(f"{path} cannot be read: {error}.") from None
