"""Rows of tables (TSV, CSV, JSON Lines, .xlsx, Parquet), with the line numbers that errors need.

TSV is not quoted: a quotation mark is text (as GLUE's files need), unless :func:`is_quoted` says
that a spreadsheet wrote the file. CSV follows RFC 4180, with any of ``_SEPARATORS``.
"""

from __future__ import annotations

import csv
import itertools
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plainbert import text_files
from plainbert.containers.spreadsheets import parquet_objects, sheet_rows
from plainbert.errors import DataError, UnknownNameError, UsageError

FORMS = ("tsv", "csv", "jsonl", "xlsx", "parquet")
# Suffixes of tables; a file with another one is a TSV where a table is expected.
TABLES = {
    ".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx",
    ".parquet": "parquet",
}  # fmt: skip
# One text may be a megabyte; the csv module's own limit is 128 KiB.
_LONGEST_FIELD = 1 << 30
_LONGEST_ROW = 1 << 20  # characters of a row of cells in quotation marks
_SAMPLE = 100  # lines that show what separates the columns
_SEPARATORS = (",", ";", "\t", "|")
_QUOTED_CELL = r'(?:"[^"]*(?:""[^"]*)*"|[^"\t]*)'
_QUOTED_ROW = re.compile(rf"{_QUOTED_CELL}(?:\t{_QUOTED_CELL})*")
_NUMBER = re.compile(r"[+-]?[0-9.]*(?:[eE][+-]?[0-9]+)?")  # or nothing
_CELL = re.compile(rf"(?:^|\t){_QUOTED_CELL}")

log = logging.getLogger(__name__)


def form_of(path: str | Path, form: str | None = None) -> str:
    """The form of a file: ``form`` if given, else by its suffix (before .gz or .xz); else TSV.

    Raises:
        UnknownNameError: ``form`` is not one of ``FORMS``.
        UsageError: a ``.json`` file, which could be anything.
    """
    if form is not None:
        if form not in FORMS:
            raise UnknownNameError("form of table", form, FORMS)
        return form
    suffix = suffix_of(path)
    if suffix == ".json":
        raise UsageError(
            f"{path}: a .json file is one value, not rows. Write one object per line and call it "
            ".jsonl; tables are read from .tsv, .csv, .jsonl, .xlsx and .parquet."
        )
    return TABLES.get(suffix, "tsv")


def suffix_of(path: str | Path) -> str:
    """The suffix of a file in small letters, the one before .gz or .xz."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes[-1:] in ([".gz"], [".xz"]):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def cells(path: str | Path, form: str = "tsv") -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, columns) of a TSV, CSV or .xlsx file; a CSV row may span several lines.

    Blank rows at the end are none: an empty line, or the empty cells that spreadsheets leave.

    Args:
        path: the file; ``-`` is standard input.
        form: "tsv"; "csv", with the separator that the file shows; "quoted", for a TSV in which
            :func:`is_quoted` sees a spreadsheet's quotation marks; "xlsx".

    Raises:
        DataError: the file cannot be read, or a quoted field is malformed.
    """
    if form == "xlsx":
        rows = sheet_rows(path)
    else:
        rows = _plain_rows(path) if form == "tsv" else _quoted_rows(path, form)
    blank: list[tuple[int, list[str]]] = []
    for line, row in rows:
        blank.append((line, row))
        if any(map(str.strip, row)):
            yield from blank
            blank.clear()


def _plain_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a TSV file, in which a carriage return ends a row only where the row is full."""
    width, text, start = 0, "", 1
    for number, line in text_files.read_lines_with_ends(path):
        text += line
        row = text.removesuffix("\n").removesuffix("\r").split("\t")
        width = width or len(row)
        if len(row) >= width or line.endswith("\n"):
            yield start, row
            text, start = "", number + 1
    if text:
        yield start, text.removesuffix("\r").split("\t")


def _quoted_rows(path: str | Path, form: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a file in which quotation marks hold fields together."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    lines: Iterator[str] = (f"{line}\n" for _, line in text_files.read_lines(path))
    skipped, separator = 0, "\t"
    if form == "csv":
        sample = list(itertools.islice(lines, _SAMPLE))
        lines = itertools.chain(sample, lines)
        stated = re.fullmatch(r'"?sep=(.)"?\n', sample[0]) if sample else None
        if stated:  # Excel's own note to itself
            separator, skipped = stated[1], 1
            next(lines)
        else:
            separator = _separator(sample)
        if separator != ",":
            log.info("%s: the columns are separated by %r.", path, separator)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    start = 1
    try:
        for row in reader:
            yield skipped + start, row or [""]  # an empty line is one empty column, as in TSV
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"is not CSV as RFC 4180 has it ({error}). A field with quotation marks is quoted and "
            'doubles them: "he said ""no"""',
            path,
            skipped + start,
        ) from None


def _separator(sample: list[str]) -> str:
    """What separates columns: gives all rows as many of them, and more than one."""
    headers = {}
    for separator in _SEPARATORS:
        rows = [row for row in csv.reader(sample, delimiter=separator) if row]
        # The last row may go on behind the sample.
        widths = {len(row) for row in (rows[:-1] if len(sample) == _SAMPLE else rows)}
        headers[separator] = len(rows[0]) if rows else 0
        if len(widths) == 1 and widths != {1}:
            return separator
    return next((separator for separator, width in headers.items() if width > 1), ",")


def csv_header(path: str | Path) -> list[str]:
    """The columns of a file whose first line has no tab, if it is a CSV file; else none.

    Then every row has as many cells as the first one, and more than one.
    """
    sample = [f"{line}\n" for _, line in itertools.islice(text_files.read_lines(path), _SAMPLE)]
    if not sample or "\t" in sample[0]:
        return []
    rows = [row for row in csv.reader(sample, delimiter=_separator(sample)) if row]
    widths = {len(row) for row in (rows[:-1] if len(sample) == _SAMPLE else rows)}
    return rows[0] if len(widths) == 1 and widths != {1} else []


def is_quoted(path: str | Path) -> bool:
    """Whether a spreadsheet or pandas wrote a TSV file: with quotation marks around cells.

    Then every quotation mark of the file belongs to a quoted cell, all rows have as many cells,
    and some mark is doubled, some cell holds a tab or line end, or every cell of several columns,
    those of the header too, is quoted or a number. A text that merely begins and ends with a
    quotation mark shows nothing.
    """
    width, text, evident, whole = 0, "", False, True
    for _, line in text_files.read_lines(path):
        text = f"{text}\n{line}" if text else line
        if '"' in text:
            row = _QUOTED_ROW.fullmatch(text)
            if row is None and text.count('"') % 2 and len(text) < _LONGEST_ROW:
                continue
            if row is None:
                return False
            evident = evident or '""' in text or "\n" in text
        row_cells = [part.removeprefix("\t") for part in _CELL.findall(text)]
        size = len(row_cells)
        whole = whole and all(
            part.startswith('"') or (width and _NUMBER.fullmatch(part)) for part in row_cells
        )
        width = width or size
        if size != width and text:
            return False
        text = ""
    return (evident or (whole and width > 1)) and not text


def objects(path: str | Path, form: str = "jsonl") -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file, in which empty lines are none, or Parquet.

    Args:
        path: the file; ``-`` is standard input.
        form: "jsonl" or "parquet".

    Raises:
        DataError: a line is not a JSON object.
    """
    if form == "parquet":
        yield from parquet_objects(path)
        return
    for number, line in text_files.read_lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"is not JSON: {error.msg}.", path, number, line) from None
        except (ValueError, RecursionError) as error:  # numbers of 5000 digits, lists of lists ...
            raise DataError(f"is not JSON: {error}.", path, number, line) from None
        if not isinstance(value, dict):
            raise DataError("one JSON object per line is expected.", path, number, line)
        yield number, value


def wrong_count(path: str | Path, line: int, got: list[str], expected: int, why: str) -> DataError:
    """The error for a row whose number of columns is wrong."""
    return DataError(
        f"{len(got)} columns; {expected} are expected{why}.",
        path,
        line,
        as_written(path, line, got),
    )


def as_written(path: str | Path, line: int, row: list[str]) -> str:
    """A row for an error: the line of the file, or its columns where it cannot be read again."""
    if str(path) == "-" or suffix_of(path) == ".xlsx":
        return "\t".join(row)
    return next((text for number, text in text_files.read_lines(path) if number == line), "")
