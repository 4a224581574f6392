"""What callers may hand over as texts, told from what only looks like it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Protocol

from plainbert import arguments
from plainbert.arguments import short
from plainbert.errors import UsageError

_EXPECTED = "a text, or a list or tuple of texts or pairs, is expected."

MOST_TEXTS = 3  # that belong together in one row


class Column(Protocol):
    """A column of pandas, polars or numpy."""

    def tolist(self) -> list[Any]:
        """Its values."""


# What gives a list of results; a text alone gives one.
Many = list[str] | list[tuple[str, ...]] | list[Any] | tuple[Any, ...] | Iterator[Any] | Column
Texts = str | Many


def texts_of(
    texts: Any,
    name: str = "texts",
    most: int | None = None,
    *,
    grouped: bool = False,
    keyword: str = "pairs",
) -> list[Any]:
    """Texts, or texts that belong together, as a list of rows.

    A text is one row. Everything else is a batch: a list, a tuple, a column of pandas or pyarrow,
    an array, an iterator. Within it a tuple is one row of texts that belong together.

    Args:
        texts: what a caller handed over.
        name: how the caller calls it.
        most: texts of a row; any number when None, as for the words of a sentence.
        grouped: every row is a list or tuple of texts that belong together.
        keyword: the caller's name of ``grouped``.

    Raises:
        UsageError: something else, such as a dict or a DataFrame, which yield their keys, or a set,
            which has no order; or a row of more than ``most`` texts.

    Example:
        >>> texts_of(("a", ("b", "c")))
        ['a', ('b', 'c')]
        >>> texts_of([["b", "c"]], grouped=True)
        [('b', 'c')]
    """
    if isinstance(texts, str):
        if grouped:
            raise UsageError(
                f"{name} is one text; with {keyword}=True a list of lists of texts is expected."
            )
        return [texts]
    rows = _items(texts, name)
    if grouped:
        return [_group(row, f"{name}[{place}]", most, keyword) for place, row in enumerate(rows)]
    for place, row in enumerate(rows):
        if not isinstance(row, str):
            _check_row(row, f"{name}[{place}]", name, most, keyword)
    return rows


def _items(texts: Any, name: str) -> list[Any]:
    """What a batch holds."""
    _check_kind(texts, name)
    try:
        return list(texts.to_pylist() if hasattr(texts, "to_pylist") else texts)  # of pyarrow
    except TypeError:
        if getattr(texts, "ndim", 1) != 0:
            raise
        raise UsageError(f"{name} is {short(texts)}, an array of no axis; {_EXPECTED}") from None


def _group(row: Any, where: str, most: int | None, keyword: str) -> tuple[str, ...]:
    """A row of several texts."""
    if isinstance(row, str | bytes | Mapping | Set) or not isinstance(row, Iterable):
        raise UsageError(
            f"{where} is {short(row)} ({type(row).__name__}); with {keyword}=True every row is a "
            "list or tuple of texts."
        )
    group = tuple(row)
    _check_row(group, where, where.partition("[")[0], most, keyword)
    return group


def _check_row(row: Any, where: str, name: str, most: int | None, keyword: str) -> None:
    if not isinstance(row, tuple) or not row or not all(isinstance(part, str) for part in row):
        hint = f" For lists of texts in place of tuples: {keyword}=True." * isinstance(row, list)
        raise UsageError(
            f"{name} hold {short(row)}; a text, or a tuple of texts, is expected ({where} is a "
            f"{type(row).__name__}).{hint}"
        )
    if most is not None and len(row) > most:
        raise UsageError(
            f"{name} hold a tuple of {len(row)} texts ({where}): a tuple in a list is one row, of "
            f"at most {most} texts that belong together. For rows of their own put the texts into "
            "the list itself."
        )


def typed_texts(texts: Any, name: str) -> list[str]:
    """Texts of a recipe's settings, of which none is a pair.

    Args:
        texts: a tuple or list of texts; one alone is one text, not its letters.
        name: of the flag.

    Raises:
        UsageError: something else.
    """
    return [arguments.text(name, row) for row in texts_of(texts, name)]


def _check_kind(texts: Any, name: str) -> None:
    kind = type(texts).__name__
    if hasattr(texts, "columns") and not isinstance(texts, Mapping):  # of pandas, polars, pyarrow
        raise UsageError(
            f"{name} is a {kind}, which is a table. Pass one of its columns as a list: "
            f"{name}=table['text'].tolist()."
        )
    if isinstance(texts, Mapping):
        keys = ", ".join(map(str, list(texts)[:5]))
        raise UsageError(
            f"{name} is a {kind} with the keys {short(keys)}. Pass what stands under one of them; "
            f"{_EXPECTED}"
        )
    if isinstance(texts, bytes | bytearray | memoryview):
        raise UsageError(f"{name} is {kind}: decode it first, {name}.decode('utf-8').")
    if isinstance(texts, Set):
        raise UsageError(f"{name} is a {kind}, which has no order; {_EXPECTED}")
    if not isinstance(texts, Iterable):
        raise UsageError(f"{name} is {short(texts)} ({kind}); {_EXPECTED}")
