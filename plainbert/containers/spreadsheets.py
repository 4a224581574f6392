"""Rows of workbooks (.xlsx) and of Parquet files, by the libraries that read them."""

from __future__ import annotations

import contextlib
import datetime
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plainbert import packages
from plainbert.errors import DataError, PlainBertError
from plainbert.text_files import open_bytes

BATCH = 4096  # rows of a Parquet file in memory

log = logging.getLogger(__name__)


def sheet_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number from 1, cells) of the first sheet of a workbook.

    A formula counts as the value that was stored with it. Every row has as many cells as the first
    one, or more; one without any value is a single empty cell, as an empty line is.

    Args:
        path: the file.

    Raises:
        DataError: it is no such workbook.
        MissingDependencyError: openpyxl is not installed.
    """
    packages.require(("openpyxl",), "excel", f"{path}: reading .xlsx files")
    import openpyxl

    with open_bytes(path) as file, _damage(path, "workbook (.xlsx)"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and the like
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        if not book.worksheets:
            raise DataError("holds no sheet with cells.", path)
        sheet = book.worksheets[0]
        if others := [other.title for other in book.worksheets[1:]]:
            log.info(
                "%s: of %d sheets the first is read, %r; not: %s",
                path,
                1 + len(others),
                sheet.title,
                ", ".join(map(repr, others)),
            )
        sheet.reset_dimensions()  # what the file says of them may be wrong
        width = 0
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            row = [_cell(value) for value in values]
            while row and not row[-1]:
                row.pop()
            width = width or len(row)
            yield number, [*row, *[""] * (width - len(row))] if row else [""]


def _cell(value: Any) -> str:
    """A cell as the text of a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime) and not (value.hour or value.minute or value.second):
        value = value.date()
    return str(value)


def parquet_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, values by column) of a Parquet file.

    Args:
        path: the file.

    Raises:
        DataError: it is no Parquet file.
        MissingDependencyError: pyarrow is not installed.
    """
    packages.require(("pyarrow",), "parquet", f"{path}: reading .parquet files")
    import pyarrow.parquet

    with open_bytes(path) as file, _damage(path, "Parquet file"):
        number = 0
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(BATCH):
            for row in batch.to_pylist():
                number += 1
                yield number, {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    """A value in words that JSON has."""
    if isinstance(value, list):
        return [_value(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _value(part) for name, part in value.items()}
    return value if isinstance(value, str | int | float | None) else str(value)


@contextlib.contextmanager
def _damage(path: str | Path, kind: str) -> Iterator[None]:
    """What a library says of a file that it cannot read, as an error of ours."""
    try:
        yield
    except PlainBertError:
        raise
    except Exception as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"is no {kind} that can be read: {what}", path) from error
