"""Rows of one shape written as tab-separated values or JSON Lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from plainbert import files
from plainbert.errors import UsageError


def table(rows: Sequence[dict[str, Any]], suffix: str) -> str:
    """Rows of one shape as a file's content.

    Args:
        rows: at least one; all have the keys of the first.
        suffix: ".jsonl", or ".tsv" with a header; there tabs and line ends in texts and names
            become blanks.

    Raises:
        UsageError: another suffix.
    """
    if suffix == ".jsonl":
        return "".join(json_line(row).decode() for row in rows)
    if suffix != ".tsv":
        raise UsageError(f"no form is named {suffix!r}; .tsv and .jsonl are.")
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter="\t",
        quoting=csv.QUOTE_NONE,
        quotechar=None,
        escapechar=None,
        lineterminator="\n",
    )
    writer.writerow([cell(name) for name in rows[0]])
    for row in rows:
        writer.writerow([cell(value) for value in row.values()])
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as one cell: tabs and line ends, which would end it, become blanks."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return re.sub(r"[\t\r\n]", " ", str(value))


def json_line(row: dict[str, Any]) -> bytes:
    """A row as one line of JSON Lines, in UTF-8."""
    return (files.json_text(row) + "\n").encode()
