"""Files of texts and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plainbert import files
from plainbert.containers.tables import json_line
from plainbert.errors import UsageError
from plainbert.tasks.embedding.encode import Vectors


def write_vectors(
    path: str | Path, texts: Sequence[str], vectors: Vectors | Sequence[Vectors]
) -> None:
    """Write texts and their vectors, in order, in the form that the suffix names.

    ``.npz``: arrays "text" (N,) and "vector" (N, D'); vectors of tokens, of which there are
    different numbers per text, lie end to end in "vector" and text i has the rows ``offsets[i]``
    to ``offsets[i + 1]``. ``.jsonl``: one object a line, with the same two keys.

    Args:
        path: replaced in one step once it is complete.
        texts: N texts.
        vectors: (N, D'), or for each text (L, D').

    Raises:
        UsageError: another suffix.
    """
    suffix = Path(path).suffix
    if suffix == ".npz":
        # An array of strings drops NULs at their end; nothing else is lost.
        columns: dict[str, Any] = {"text": np.array(texts, dtype=np.str_)}
        if isinstance(vectors, np.ndarray):
            columns["vector"] = vectors
        else:
            columns["vector"] = np.concatenate(list(vectors))
            columns["offsets"] = np.cumsum([0, *map(len, vectors)])
        with files.atomic_file(path) as file:
            np.savez(file, **columns)
    elif suffix == ".jsonl":
        with files.atomic_file(path) as file:
            for text, vector in zip(texts, vectors, strict=True):
                file.write(json_line({"text": text, "vector": vector.tolist()}))
    else:
        raise UsageError(f"{path}: a name ending in .npz or .jsonl is expected.")
