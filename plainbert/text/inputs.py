"""What callers may hand over as texts, told from what only looks like it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from plainbert import arguments
from plainbert.arguments import short
from plainbert.errors import UsageError

_EXPECTED = "a text, a pair as a tuple, or a list of these is expected."

MOST_TEXTS = 3  # that belong together in one row


def texts_of(texts: Any, name: str = "texts", most: int | None = None) -> list[Any]:
    """Texts, or pairs, as a list.

    Args:
        texts: a text, a tuple of texts that belong together, or several of these in an order.
        name: how the caller calls them.
        most: texts of a tuple; any number when None, as for the words of a sentence.

    Raises:
        UsageError: something else, such as a dict or a DataFrame, which yield their keys, or a set,
            which has no order; or a tuple of more than ``most`` texts.

    Example:
        >>> texts_of(["a", ("b", "c")])
        ['a', ('b', 'c')]
    """
    if isinstance(texts, str | tuple):
        rows = [texts]
    else:
        _check_kind(texts, name)
        rows = list(texts)
    for place, row in enumerate(rows):
        if isinstance(row, str):
            continue
        if not isinstance(row, tuple) or not row or not all(isinstance(part, str) for part in row):
            where = name if isinstance(texts, tuple) else f"{name}[{place}]"
            raise UsageError(
                f"{name} hold {short(row)}; a text, or a tuple of texts, is expected ({where} is "
                f"a {type(row).__name__})."
            )
        if most is not None and len(row) > most:
            raise UsageError(
                f"{name} hold a tuple of {len(row)} texts: a tuple is one row of at most {most} "
                f"texts that belong together. For rows of their own pass a list: list({name})."
            )
    return rows


def typed_texts(texts: Any, name: str) -> list[str]:
    """Texts of a recipe's settings, of which none is a pair.

    Args:
        texts: a tuple or list of texts; one alone is one text, not its letters.
        name: of the flag.

    Raises:
        UsageError: something else.
    """
    rows = texts_of(list(texts) if isinstance(texts, tuple) else texts, name)
    return [arguments.text(name, row) for row in rows]


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
