"""The rows of a task in the file that its recipe reads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.tables import rows
from plainbert.tables.table import table_of
from plainbert.tasks.ner import escaped

SUFFIXES = {"ner": ".conll", "squad": ".json"}


def write(
    task: str, data: Any, name: str, split: str, text: Any, label: Any, folder: Path
) -> tuple[str, dict[str, Any]]:
    """Write a file with the rows of a table.

    It is named by what it holds, so that none takes the place of another.

    Args:
        task: "classification", "regression", "ner" or "squad".
        data: a table of any kind.
        name: how the caller calls it.
        split: "train", "dev" or "test", of which the last need not have labels.
        text: the columns of the texts, or of the words; None for the usual ones.
        label: the column of the labels, or of the tags; None for the usual one.
        folder: made where it does not exist.

    Returns:
        its path, and the flags that name its columns.
    """
    table, more = table_of(data, name), {}
    if task == "ner":
        content = escaped.table(rows.tagged(table, text, label))
    elif task == "squad":
        content = json.dumps(rows.asked(table))
    else:
        part = rows.labelled(table, text, label, split != "test")
        content, more = part.lines(), {"text_columns": part.text_columns}
        if part.label_column is not None:
            more["label_column"] = part.label_column
    return str(_written(folder, split, content, SUFFIXES.get(task, ".jsonl"))), more


def _written(folder: Path, split: str, content: str, suffix: str) -> Path:
    data = content.encode("utf-8", "surrogatepass")
    path = folder / f"{split}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        files.write_text(path, content)
    return path
