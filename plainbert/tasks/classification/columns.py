"""Which columns of a user's table are texts and which is the label.

Columns are named, or counted from 0:

- names: the first line is a header and must have them; JSON Lines: they are the keys;
- numbers: every line is data, except a first line whose label cell is one of ``HEADER_WORDS``.

Without ``text_columns``, the first entry of ``USUAL_TEXTS`` that the header has is used.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plainbert.containers import rows
from plainbert.errors import DataError, UnknownNameError, UsageError

USUAL_TEXTS = (
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("premise", "hypothesis"),
    ("text_a", "text_b"),
    ("text",),
    ("sentence",),
    ("text_a",),
)
HEADER_WORDS = frozenset(
    {"label", "labels", "gold_label", "class", "category", "target", "score", "is_duplicate"}
)
MOST_TEXTS = 3
MISSING = frozenset({"", "nan"})  # as pandas writes the labels that are not there

log = logging.getLogger(__name__)


class MissingColumnError(DataError):
    """A table lacks a column.

    Args:
        column: its name.
        header: the names that there are.
        path: the file.
        line: of the header.
    """

    def __init__(self, column: str, header: list[str], path: str | Path, line: int) -> None:
        super().__init__(str(UnknownNameError("column", column, header)), path, line)
        self.column = column


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table: its line in the file, its texts, its label as written."""

    line: int
    texts: tuple[str, ...]
    label: str | None


def parse(columns: str | Sequence[str | int] | None) -> tuple[str, ...] | None:
    """Text columns as typed ("a,b") or as a list; None stays None.

    Raises:
        UsageError: none, more than three, or an empty or repeated name.
    """
    if columns is None:
        return None
    parts = columns.split(",") if isinstance(columns, str) else [str(item) for item in columns]
    names = tuple(part.strip() for part in parts)
    if not all(names) or len(set(names)) < len(names) or not 1 <= len(names) <= MOST_TEXTS:
        raise UsageError(
            f"text_columns={columns!r}: one to three different columns are expected, by name "
            "(sentence1,sentence2) or counted from 0 (0,1)."
        )
    return names


def read(
    path: str | Path,
    texts: tuple[str, ...] | None,
    label: str | None,
    form: str | None = None,
    need_label: bool = True,
) -> Iterator[TableRow]:
    """Yield the rows of a TSV, CSV or JSON Lines file in order.

    Args:
        path: the file; ``-`` is standard input.
        texts: text columns, from :func:`parse`.
        label: the label column, by name or number; None: the rows have none.
        form: "tsv", "csv" or "jsonl"; by the file's suffix when None.
        need_label: whether a file without the label column, or an empty label, is an error; else
            an empty label is "".

    Raises:
        DataError: an empty file, a missing column, a wrong number of columns, a missing label.
        UsageError: names and numbers are mixed.
    """
    form = rows.form_of(path, form)
    if form == "jsonl":
        yield from _objects(path, texts, label, need_label)
        return
    numbered = texts is not None and all(name.isdecimal() for name in texts)
    looked_at = form == "tsv" and str(path) != "-"  # standard input can be read only once
    if looked_at and not numbered and _has(rows.csv_header(path), texts):
        log.warning("%s: it has no tabs, but the columns of a CSV file, and is read as one.", path)
        form = "csv"
    elif looked_at and rows.is_quoted(path):
        log.info("%s: cells stand in quotation marks, as spreadsheets write them.", path)
        form = "quoted"
    if numbered and label is not None and not label.isdecimal():
        raise UsageError(
            f"text columns are given by number ({','.join(texts or ())}) and the label column by "
            f"name ({label!r}). Use numbers for both (no header), or names for both."
        )
    if numbered:
        yield from _by_number(path, texts or (), label, form, need_label)
    else:
        yield from _by_name(path, texts, label, form, need_label)


def _by_name(
    path: str | Path, texts: tuple[str, ...] | None, label: str | None, form: str, need: bool
) -> Iterator[TableRow]:
    stream = rows.cells(path, form)
    line, header = next(stream, (1, []))
    if not header or header == [""]:
        raise DataError("is empty; a header and rows are expected.", path)
    header = [cell.strip() for cell in header]
    texts = texts or _usual(path, header)
    text_columns = [_find(path, line, header, name) for name in texts]
    label_column = None
    if label is not None and (need or label in header):
        label_column = _find(path, line, header, label)
    for line, row in _full(path, stream, len(header)):
        if len(row) != len(header):
            raise rows.wrong_count(path, line, row, len(header), " as in the header")
        yield _record(path, line, row, text_columns, label_column, need)


def _by_number(
    path: str | Path, texts: tuple[str, ...], label: str | None, form: str, need: bool
) -> Iterator[TableRow]:
    text_columns = [int(name) for name in texts]
    label_column = None if label is None else int(label)
    stream = rows.cells(path, form)
    first = next(stream, None)
    if first is None:
        raise DataError("is empty; rows are expected.", path)
    width = len(first[1])
    for line, row in itertools.chain([first], _full(path, stream, width)):
        if line == first[0]:
            if label_column is not None and label_column >= width and not need:
                label_column = None
            last = max(text_columns + ([] if label_column is None else [label_column]))
            if last >= width:
                raise DataError(
                    f"{width} columns; there is no column {last} (they count from 0).",
                    path,
                    line,
                    rows.as_written(path, line, row),
                )
            if label_column is not None and row[label_column].strip().casefold() in HEADER_WORDS:
                continue
        if len(row) != width:
            raise rows.wrong_count(path, line, row, width, " as in the first line")
        yield _record(path, line, row, text_columns, label_column, need)


def _full(
    path: str | Path, stream: Iterator[tuple[int, list[str]]], width: int
) -> Iterator[tuple[int, list[str]]]:
    """Rows without the empty lines between them, which are counted."""
    empty = []
    for line, row in stream:
        if row == [""] and width > 1:
            empty.append(line)
        else:
            yield line, row
    if empty:
        log.warning("%s: %d empty line(s) left out, first: line %d", path, len(empty), empty[0])


def _objects(
    path: str | Path, texts: tuple[str, ...] | None, label: str | None, need: bool
) -> Iterator[TableRow]:
    first = True
    for line, value in rows.objects(path):
        if first:
            texts = texts or _usual(path, list(value))
            if label is not None and not need and label not in value:
                label = None
            first = False
        assert texts is not None
        for name in (*texts, *(() if label is None else (label,))):
            _find(path, line, list(value), name)
        got = tuple(value[name] for name in texts)
        for name, text in zip(texts, got, strict=True):
            if not isinstance(text, str):
                raise DataError(f"{name!r} must be a text, not {text!r}.", path, line)
        yield TableRow(
            line, got, None if label is None else _json_label(path, line, value[label], need)
        )
    if first:
        raise DataError("is empty; one JSON object per line is expected.", path)


def _record(
    path: str | Path, line: int, row: list[str], texts: list[int], label: int | None, need: bool
) -> TableRow:
    value = None if label is None else row[label].strip()
    if need and value is not None and value.casefold() in MISSING:
        what = f"{value!r}, a missing number" if value else "empty"
        raise DataError(f"the label is {what}.", path, line, rows.as_written(path, line, row))
    return TableRow(line, tuple(row[column] for column in texts), value)


def _json_label(path: str | Path, line: int, value: Any, need: bool) -> str:
    """A JSON label: a text, a number or true / false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if isinstance(value, str) and value.strip().casefold() not in MISSING:
        return value.strip()
    if not need and (value is None or value != value or isinstance(value, str)):
        return ""
    raise DataError(
        f"the label must be a text or a number, not {json.dumps(value)[:80]}.", path, line
    )


def _find(path: str | Path, line: int, header: list[str], name: str) -> int:
    """The position of a named column.

    Raises:
        DataError: it is missing (names the nearest), or there are two.
    """
    if header.count(name) != 1:
        if name in header:
            raise DataError(f"there are two columns named {name!r}.", path, line)
        raise MissingColumnError(name, header, path, line)
    return header.index(name)


def _has(header: list[str], texts: tuple[str, ...] | None) -> bool:
    """Whether a header has the text columns."""
    ways = USUAL_TEXTS if texts is None else (texts,)
    return any(all(name in header for name in names) for names in ways)


def _usual(path: str | Path, header: list[str]) -> tuple[str, ...]:
    for names in USUAL_TEXTS:
        if all(name in header for name in names):
            return names
    raise DataError(
        f"which columns are texts? The first line has: {', '.join(header)[:200]}. Name them with "
        "--text_columns a,b (or 0,1 in a file without a header).",
        path,
    )
