"""The columns of a table by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plainbert.errors import DataError, UnknownNameError

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


def all_others(header: Sequence[str], taken: Sequence[int | None]) -> dict[str, int]:
    """Every column that is not taken, by its name: of a name that comes again x, x.1, x.2 ..."""
    others: dict[str, int] = {}
    for place, name in enumerate(header):
        if place not in taken:
            number, free = 0, name
            while free in others:
                number += 1
                free = f"{name}.{number}"
            others[free] = place
    return others


def find(path: str | Path, line: int, header: list[str], name: str) -> int:
    """The position of a named column.

    Raises:
        DataError: it is missing (names the nearest), or there are two.
    """
    if header.count(name) != 1:
        if name in header:
            raise DataError(f"there are two columns named {name!r}.", path, line)
        raise MissingColumnError(name, header, path, line)
    return header.index(name)


def has(header: list[str], texts: tuple[str, ...] | None) -> bool:
    """Whether a header has the text columns."""
    ways = USUAL_TEXTS if texts is None else (texts,)
    return any(all(name in header for name in names) for names in ways)


def usual(path: str | Path, header: list[str]) -> tuple[str, ...]:
    """The text columns of a header, by their usual names.

    Raises:
        DataError: it has none of them.
    """
    for names in USUAL_TEXTS:
        if all(name in header for name in names):
            return names
    raise DataError(
        f"which columns are texts? The first line has: {', '.join(header)[:200]}. Name them with "
        "--text_columns a,b (or 0,1 in a file without a header).",
        path,
    )
