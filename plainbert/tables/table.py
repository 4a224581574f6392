"""Tables of every kind as rows by column, without a package of theirs being needed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plainbert.arguments import short
from plainbert.errors import UsageError

Column = str | int

_EXPECTED = (
    "a file, a list of dicts, a list of (text, label) tuples, a pair of lists (texts, labels), a "
    "DataFrame or a datasets.Dataset is expected."
)


@dataclass(frozen=True)
class Table:
    """Rows by column.

    Attributes:
        name: how the caller calls it, for errors.
        rows: column to value; the columns of tuples are numbers from 0.
        classes: of columns that hold numbers of classes, the names of these.
    """

    name: str
    rows: list[Mapping[Any, Any]]
    classes: Mapping[Any, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> list[Any]:
        """The columns of the first row."""
        return list(self.rows[0]) if self.rows else []

    def check(self, column: Any) -> Any:
        """A column that is there.

        Raises:
            UsageError: it is not; names those that are.
        """
        if column not in self.columns:
            names = [str(name) for name in self.columns]
            near = difflib.get_close_matches(str(column), names, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{self.name} has no column {column!r}.{guess} It has: {', '.join(names)}."
            )
        return column

    def value(self, row: int, column: Any) -> Any:
        """What stands in a row.

        Raises:
            UsageError: the row lacks the column.
        """
        if column not in self.rows[row]:
            raise UsageError(f"{self.name}[{row}] has no {column!r}: {short(self.rows[row])}.")
        value = self.rows[row][column]
        return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def table_of(data: Any, name: str) -> Table:
    """A table out of what a caller holds.

    Args:
        data: rows as dicts or tuples; lists by column; a pair of lists; a DataFrame of pandas or
            polars, a table of pyarrow, a Dataset of datasets.
        name: how the caller calls it.

    Raises:
        UsageError: it is something else, or has no rows.
    """
    rows, classes = _records(data, name)
    dicts = sum(isinstance(row, Mapping) for row in rows)
    if dicts < len(rows):
        if not dicts:
            rows = [_numbered(row, f"{name}[{number}]") for number, row in enumerate(rows)]
        if dicts or len({len(row) for row in rows}) > 1:
            raise UsageError(f"{name} holds rows of several forms; {_EXPECTED}")
    if not rows:
        raise UsageError(f"{name} has no rows.")
    return Table(name, rows, classes)


def _records(data: Any, name: str) -> tuple[list[Any], dict[Any, Sequence[str]]]:
    """Rows as they are, and the names of classes."""
    if isinstance(data, Mapping):
        return _of_columns(data, name), {}
    if hasattr(data, "features") and hasattr(data, "column_names"):  # of datasets
        return list(data), _classes(data.features)
    if hasattr(data, "to_dicts"):  # of polars
        return list(data.to_dicts()), {}
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # of pandas
        return list(data.to_dict("records")), {}
    if hasattr(data, "to_pylist"):  # of pyarrow
        return list(data.to_pylist()), {}
    if isinstance(data, tuple) and len(data) == 2 and all(map(_is_column, data)):
        first, second = (list(column) for column in data)
        if len(first) != len(second):
            raise UsageError(f"{name}: {len(first)} texts and {len(second)} labels.")
        return list(zip(first, second, strict=True)), {}
    if isinstance(data, str | bytes) or not isinstance(data, Iterable) or isinstance(data, set):
        raise UsageError(f"{name} is {short(data)} ({type(data).__name__}); {_EXPECTED}")
    return list(data), {}


def _is_column(value: Any) -> bool:
    """Whether a value is a column of many, not a row: rows are tuples."""
    return isinstance(value, list) or (
        hasattr(value, "tolist") and getattr(value, "ndim", 1) == 1 and hasattr(value, "__len__")
    )


def _of_columns(data: Mapping[Any, Any], name: str) -> list[dict[Any, Any]]:
    columns = {
        key: value for key, value in data.items() if _is_column(value) or isinstance(value, tuple)
    }
    sizes = {len(value) for value in columns.values()}
    if len(columns) < len(data) or len(sizes) != 1:
        raise UsageError(
            f"{name} is a dict of {', '.join(map(str, data))}; in a dict a list of as "
            f"many values as all others have is expected for every column. Or {_EXPECTED}"
        )
    parts = zip(*(list(value) for value in columns.values()), strict=True)
    return [dict(zip(columns, part, strict=True)) for part in parts]


def _classes(features: Mapping[Any, Any]) -> dict[Any, Sequence[str]]:
    """Names of classes by column, of columns whose values are their numbers."""
    classes: dict[Any, Sequence[str]] = {}
    for column, feature in features.items():
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if isinstance(names, list):
            classes[column] = names
    return classes


def _numbered(row: Any, where: str) -> dict[Any, Any]:
    """A tuple or list as a row whose columns are numbers."""
    if isinstance(row, str | bytes | Mapping) or not isinstance(row, Sequence):
        raise UsageError(
            f"{where} is {short(row)} ({type(row).__name__}); a row is a dict or a tuple such as "
            "(text, label). Texts and labels in lists of their own: finetune(texts, label=labels)."
        )
    return dict(enumerate(row))
