"""The rows of a task in the file that its recipe reads."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.tables import rows
from plainbert.tables.table import table_of
from plainbert.tasks.ner import escaped

SUFFIXES = {"ner": ".conll", "squad": ".json"}


class Place:
    """The folder of a run, and the files of data that one call writes into it.

    Args:
        run: the folder; made where it does not exist.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, run / "data"
        self._made = [path for path in (self.folder, run) if not path.exists()]
        self._written: list[Path] = []

    def write(self, split: str, content: str, suffix: str) -> Path:
        """Write a file that is named by what it holds, so that none takes the place of another."""
        data = content.encode("utf-8", "surrogatepass")
        path = self.folder / f"{split}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            files.write_text(path, content)
            self._written.append(path)
        return path

    def take_back(self) -> None:
        """Remove what this call has written, of a run that has not begun."""
        for path in self._written:
            path.unlink(missing_ok=True)
        for folder in self._made:
            with contextlib.suppress(OSError):  # others have put something into it
                folder.rmdir()


def write(
    task: str, data: Any, name: str, split: str, text: Any, label: Any, place: Place
) -> tuple[str, dict[str, Any]]:
    """Write a file with the rows of a table.

    Args:
        task: "classification", "regression", "ner" or "squad".
        data: a table of any kind.
        name: how the caller calls it.
        split: "train", "dev" or "test", of which the last need not have labels.
        text: the columns of the texts, or of the words; None for the usual ones.
        label: the column of the labels, or of the tags; None for the usual one.
        place: where the file goes.

    Returns:
        its path, and the flags that name its columns.
    """
    table = table_of(data, name)
    more: dict[str, Any] = {}
    if task == "ner":
        content = escaped.table(rows.tagged(table, text, label))
    elif task == "squad":
        content = files.json_text(rows.asked(table))
    else:
        part = rows.labelled(table, text, label, split != "test")
        content, more = part.lines(), {"text_columns": part.text_columns}
        if part.label_column is not None:
            more["label_column"] = part.label_column
    return str(place.write(split, content, SUFFIXES.get(task, ".jsonl"))), more
