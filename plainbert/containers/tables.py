"""What users get back: files of vectors and of predictions."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plainbert import files
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
                file.write(_line({"text": text, "vector": vector.tolist()}))
    else:
        raise UsageError(f"{path}: a name ending in .npz or .jsonl is expected.")


def table(rows: Sequence[dict[str, Any]], suffix: str) -> str:
    """Rows of one shape as a file's content.

    Args:
        rows: at least one; all have the keys of the first.
        suffix: ".jsonl", or ".tsv" with a header; there tabs and line ends in texts become blanks.

    Raises:
        UsageError: another suffix.
    """
    if suffix == ".jsonl":
        return "".join(_line(row).decode() for row in rows)
    if suffix != ".tsv":
        raise UsageError(f"no form is named {suffix!r}; .tsv and .jsonl are.")
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None,
                        escapechar=None, lineterminator="\n")  # fmt: skip
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return re.sub(r"[\t\r\n]", " ", str(value))


def _line(row: dict[str, Any]) -> bytes:
    # Lone surrogates cannot be written as UTF-8: escaped, they come back as they were.
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(row) + "\n").encode()
