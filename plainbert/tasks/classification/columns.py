"""Which columns of a user's table are texts and which is the label.

Columns are named, or counted from 0:

- names: the first line is a header and must have them; JSON Lines: they are the keys;
- numbers: every line is data, except a first line whose label cell is one of ``HEADER_WORDS``.

Without ``text_columns``, the first entry of ``headers.USUAL_TEXTS`` that the header has is used.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert.containers import rows
from plainbert.errors import DataError, UsageError
from plainbert.tasks.classification import headers

HEADER_WORDS = frozenset(
    {"label", "labels", "gold_label", "class", "category", "target", "score", "is_duplicate"}
)
MOST_TEXTS = 3
ALL = ("all",)  # columns to keep: every one that is not read otherwise
MISSING = frozenset({"", "nan"})  # as pandas writes the labels that are not there

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table: its line in the file, its texts, its label as written, other columns."""

    line: int
    texts: tuple[str, ...]
    label: str | None
    others: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Positions:
    """Where the columns of a file are that are read."""

    texts: list[int]
    label: int | None
    others: dict[str, int]


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
    keep: Sequence[str] = (),
) -> Iterator[TableRow]:
    """Yield the rows of a table in order.

    Args:
        path: the file; ``-`` is standard input.
        texts: text columns, from :func:`parse`.
        label: the label column, by name or number; None: the rows have none.
        form: one of ``rows.FORMS``; by the file's suffix when None.
        need_label: whether a file without the label column, or an empty label, is an error; else
            an empty label is "".
        keep: other columns to hand on, by name or number; ``ALL`` alone: those that are neither
            texts nor the label.

    Raises:
        DataError: an empty file, a missing column, a wrong number of columns, a missing label.
        UsageError: names and numbers are mixed.
    """
    form = rows.form_of(path, form)
    if form in ("jsonl", "parquet"):
        yield from _objects(path, form, texts, label, need_label, keep)
        return
    numbered = texts is not None and all(name.isdecimal() for name in texts)
    looked_at = form == "tsv" and str(path) != "-"  # standard input can be read only once
    if looked_at and not numbered and headers.has(rows.csv_header(path), texts):
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
        yield from _by_number(path, texts or (), label, form, need_label, keep)
    else:
        yield from _by_name(path, texts, label, form, need_label, keep)


def _by_name(
    path: str | Path,
    texts: tuple[str, ...] | None,
    label: str | None,
    form: str,
    need: bool,
    keep: Sequence[str],
) -> Iterator[TableRow]:
    stream = rows.cells(path, form)
    line, header = next(stream, (1, []))
    if not header or header == [""]:
        raise DataError("is empty; a header and rows are expected.", path)
    header = [cell.strip() for cell in header]
    texts = texts or headers.usual(path, header)
    text_columns = [headers.find(path, line, header, name) for name in texts]
    label_column = None
    if label is not None and (need or label in header):
        label_column = headers.find(path, line, header, label)
    if tuple(keep) == ALL:
        others = headers.all_others(header, [*text_columns, label_column])
    else:
        others = {name: headers.find(path, line, header, name) for name in keep}
    positions = _Positions(text_columns, label_column, others)
    for line, row in _full(path, stream, len(header)):
        if len(row) != len(header):
            raise rows.wrong_count(path, line, row, len(header), " as in the header")
        yield _record(path, line, row, positions, need)


def _by_number(
    path: str | Path,
    texts: tuple[str, ...],
    label: str | None,
    form: str,
    need: bool,
    keep: Sequence[str],
) -> Iterator[TableRow]:
    text_columns = [int(name) for name in texts]
    label_column = None if label is None else int(label)
    stream = rows.cells(path, form)
    first = next(stream, None)
    if first is None:
        raise DataError("is empty; rows are expected.", path)
    width = len(first[1])
    others = {name: int(name) for name in keep if name.isdecimal()}
    if tuple(keep) == ALL:
        others = headers.all_others(list(map(str, range(width))), [*text_columns, label_column])
    elif len(others) < len(keep):
        raise UsageError(
            f"text columns are given by number and columns to keep by name ({','.join(keep)}). Use "
            "numbers for both (no header), or names for both."
        )
    for line, row in itertools.chain([first], _full(path, stream, width)):
        if line == first[0]:
            if label_column is not None and label_column >= width and not need:
                label_column = None
            last = max(
                [*text_columns, *others.values(), *([] if label_column is None else [label_column])]
            )
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
        yield _record(path, line, row, _Positions(text_columns, label_column, others), need)


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
    path: str | Path,
    form: str,
    texts: tuple[str, ...] | None,
    label: str | None,
    need: bool,
    keep: Sequence[str],
) -> Iterator[TableRow]:
    first = True
    for line, value in rows.objects(path, form):
        if first:
            texts = texts or headers.usual(path, list(value))
            if label is not None and not need and label not in value:
                label = None
            if tuple(keep) == ALL:
                keep = [name for name in value if name not in (*texts, label)]
            first = False
        assert texts is not None
        for name in (*texts, *keep, *(() if label is None else (label,))):
            headers.find(path, line, list(value), name)
        got = tuple(value[name] for name in texts)
        for name, text in zip(texts, got, strict=True):
            if not isinstance(text, str):
                raise DataError(f"{name!r} must be a text, not {text!r}.", path, line)
        yield TableRow(
            line,
            got,
            None if label is None else _json_label(path, line, value[label], need),
            {name: value[name] for name in keep},
        )
    if first:
        raise DataError("is empty; rows are expected, as one JSON object a line in .jsonl.", path)


def _record(
    path: str | Path, line: int, row: list[str], positions: _Positions, need: bool
) -> TableRow:
    value = None if positions.label is None else row[positions.label].strip()
    if need and value is not None and value.casefold() in MISSING:
        what = f"{value!r}, a missing number" if value else "empty"
        raise DataError(f"the label is {what}.", path, line, rows.as_written(path, line, row))
    texts = tuple(row[column] for column in positions.texts)
    others = {name: row[column] for name, column in positions.others.items()}
    return TableRow(line, texts, value, others)


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
