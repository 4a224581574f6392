"""What callers in Python hand over, told from what only looks like it, before any work starts."""

from __future__ import annotations

import operator
import os
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from plainbert.errors import UsageError

_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 3, 80, 80


def whole(name: str, value: Any, least: int | None = 1) -> int:
    """A whole number, as Python or numpy has it; any one where ``least`` is None.

    Raises:
        UsageError: it is none, or less than ``least``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        more = "" if least is None else f" of at least {least}"
        raise UsageError(f"{name}={short(value)}: a whole number{more} is expected.") from None
    return number


def number(name: str, value: Any) -> float:
    """A number.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise UsageError(f"{name}={short(value)}: a number is expected.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name}={short(value)}: a number is expected.") from None


def text(name: str, value: Any) -> str:
    """A text.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, str):
        raise UsageError(f"{name} is {short(value)} ({type(value).__name__}); a text is expected.")
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Several texts.

    Raises:
        UsageError: they are none, or one alone, whose letters would be taken for them.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise UsageError(f"{name}={short(value)}: a list of texts is expected.")
    return tuple(text(f"{name}[{place}]", one) for place, one in enumerate(value))


def path(name: str, value: Any) -> str | Path:
    """A name or a path.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, str | Path):
        return value
    if isinstance(value, os.PathLike) and isinstance(plain := os.fspath(value), str):
        return plain
    raise UsageError(
        f"{name} is {short(value)} ({type(value).__name__}); a name or a path is expected."
    )


def short(value: Any) -> str:
    """A value for a message, shortened: it may be as long or as deep as a caller or file likes."""
    return _short.repr(value)


def whether(name: str, value: object) -> bool:
    """True or False, as a caller says it.

    Raises:
        UsageError: it is neither.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name}={short(value)}: True or False is expected.")
    return value
