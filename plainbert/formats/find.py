"""Which foreign format a file or folder is in, and its reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plainbert.errors import CheckpointError
from plainbert.formats.foreign import Foreign
from plainbert.formats.gluonnlp import reader as gluonnlp
from plainbert.formats.tensorflow import reader as tensorflow

READERS = {"tensorflow": tensorflow, "gluonnlp": gluonnlp}


def format_of(path: Path) -> str | None:
    """The format of a path, by names and first bytes; None when no reader knows it."""
    return next((name for name, reader in READERS.items() if reader.looks_like(path)), None)


def read(
    path: Path,
    format: str,
    num_heads: int | None = None,
    labels: Sequence[str] | None = None,
    repair_bias: bool = False,
) -> Foreign:
    """Read a file or folder.

    Args:
        path: what the format's own tools would be given.
        format: a key of :data:`READERS`.
        num_heads: attention heads, where the files do not say.
        labels: class or tag names by id, where the files do not say.
        repair_bias: GluonNLP only: the weights were trained with 0.9.0 to 0.9.2.

    Raises:
        FormatError: bytes that are not what the format says.
        CheckpointError: parts are missing or do not fit each other.
        UsageError: the number of heads cannot be known.
    """
    if format == "gluonnlp":
        return gluonnlp.read(path, num_heads, labels, repair_bias=repair_bias)
    if repair_bias:
        raise CheckpointError(
            f"{path} is a {format} checkpoint; only GluonNLP 0.9.0 to 0.9.2 mixed up the biases."
        )
    return READERS[format].read(path, num_heads, labels)
