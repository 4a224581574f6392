"""Rows of one shape written as comma- or tab-separated values, or JSON Lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from plainbert import files
from plainbert.errors import UsageError

FORMS = (".tsv", ".csv", ".jsonl")


def table(rows: Sequence[dict[str, Any]], suffix: str, header: bool = True) -> str:
    """Rows of one shape as a file's content.

    Args:
        rows: at least one; all have the keys of the first.
        suffix: ".jsonl"; ".csv" with a header, quoted where need be (RFC 4180); or ".tsv" with a
            header, never quoted: there tabs and line ends in texts and names become blanks.
        header: whether a table begins with the names; False for what is added to one.

    Raises:
        UsageError: another suffix.
    """
    if suffix == ".jsonl":
        return "".join(json_line(row).decode() for row in rows)
    if suffix not in FORMS:
        raise UsageError(f"no form is named {suffix!r}; .tsv, .csv and .jsonl are.")
    text = io.StringIO()
    if suffix == ".csv":
        writer, write = csv.writer(text, lineterminator="\n"), plain
    else:
        writer, write = (
            csv.writer(
                text,
                delimiter="\t",
                quoting=csv.QUOTE_NONE,
                quotechar=None,
                escapechar=None,
                lineterminator="\n",
            ),
            cell,
        )
    if header:
        writer.writerow([write(name) for name in rows[0]])
    for row in rows:
        writer.writerow([write(value) for value in row.values()])
    return text.getvalue()


def plain(value: Any) -> str:
    """A value as text: numbers with six digits, nothing for None."""
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def cell(value: Any) -> str:
    """A value as one cell of a .tsv: tabs and line ends, which would end it, become blanks."""
    return re.sub(r"[\t\r\n]", " ", plain(value))


def json_line(row: dict[str, Any]) -> bytes:
    """A row as one line of JSON Lines, in UTF-8."""
    return (files.json_text(row) + "\n").encode()
