"""Lines of TSV, CSV and JSON Lines files, with the line numbers that errors need.

TSV is never quoted: a quotation mark is text (as GLUE's files need). CSV follows RFC 4180.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.errors import DataError, UnknownNameError, UsageError

FORMS = ("tsv", "csv", "jsonl")
_SUFFIXES = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
# One text may be a megabyte; the csv module's own limit is 128 KiB.
_LONGEST_FIELD = 1 << 30


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
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix not in (".gz", ".xz")]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".json":
        raise UsageError(
            f"{path}: a .json file is one value, not rows. Write one object per line and call it "
            ".jsonl; tables are read from .tsv, .csv and .jsonl."
        )
    return _SUFFIXES.get(suffix, "tsv")


def lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of a text file, refusing NUL bytes.

    Raises:
        DataError: the file cannot be read, or a line holds a NUL byte.
    """
    for number, line in files.read_lines(path):
        if "\0" in line:
            raise DataError(
                "holds a NUL byte. The file is damaged or UTF-16; make it UTF-8 text, for example "
                "with: iconv -f UTF-16 -t UTF-8",
                path,
                number,
                line,
            )
        yield number, line


def cells(path: str | Path, form: str = "tsv") -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, columns) of a TSV or CSV file; a CSV row may span several lines.

    Raises:
        DataError: the file cannot be read, or a quoted CSV field is malformed.
    """
    if form == "tsv":
        for number, line in lines(path):
            yield number, line.split("\t")
        return
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    reader = csv.reader((f"{line}\n" for _, line in lines(path)), strict=True)
    start = 1
    try:
        for row in reader:
            yield start, row or [""]  # an empty line is one empty column, as in TSV
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"is not CSV as RFC 4180 has it ({error}). A field with quotation marks is quoted and "
            'doubles them: "he said ""no"""',
            path,
            start,
        ) from None


def objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file.

    Raises:
        DataError: a line is not a JSON object.
    """
    for number, line in lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"is not JSON: {error.msg}.", path, number, line) from None
        if not isinstance(value, dict):
            raise DataError("one JSON object per line is expected.", path, number, line)
        yield number, value


def wrong_count(path: str | Path, line: int, got: list[str], expected: int, why: str) -> DataError:
    """The error for a row whose number of columns is wrong."""
    return DataError(
        f"{len(got)} columns; {expected} are expected{why}.", path, line, "\t".join(got)
    )
