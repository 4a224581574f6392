"""What the text after a flag may be: one small reader per kind of value.

Each takes the text and returns the value, or raises ``ArgumentTypeError`` with what was given and
what is accepted; argparse puts the name of the flag in front.
"""

from __future__ import annotations

import math
import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable

from plainbert.errors import UnknownNameError


def _whole(text: str, least: int, meaning: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not {meaning}.") from None
    if value < least:
        raise ArgumentTypeError(f"{text!r} is not {meaning}.")
    return value


def path(text: str) -> str:
    """A path; the shell leaves ``~`` as it is where it does not begin a word (``--flag=~/x``)."""
    return os.path.expanduser(text)


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1, "a whole number of at least 1")


def whole_number(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0, "a whole number of at least 0")


def any_int(text: str) -> int:
    """A whole number, negative ones included."""
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a whole number.") from None


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number.") from None
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text!r} is not a finite number.")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    if (value := number(text)) <= 0:
        raise ArgumentTypeError(f"{text!r} is not above 0.")
    return value


def not_negative(text: str) -> float:
    """A number of at least 0."""
    if (value := number(text)) < 0:
        raise ArgumentTypeError(f"{text!r} is below 0.")
    return value


def share(text: str) -> float:
    """A number in [0, 1)."""
    if not 0 <= (value := number(text)) < 1:
        raise ArgumentTypeError(f"{text!r} is not a share: a number in [0, 1) is expected.")
    return value


def probability(text: str) -> float:
    """A number from 0 to 1, both included."""
    if not 0 <= (value := number(text)) <= 1:
        raise ArgumentTypeError(f"{text!r} is not a probability: from 0 to 1 is expected.")
    return value


def true_or_false(text: str) -> bool:
    """``true`` or ``false``, in any of the usual spellings."""
    folded = text.strip().casefold()
    if folded in ("true", "1", "yes", "y", "t", "on"):
        return True
    if folded in ("false", "0", "no", "n", "f", "off"):
        return False
    raise ArgumentTypeError(f"{text!r} is neither true nor false.")


def true_false_or_auto(text: str) -> bool | None:
    """``true``, ``false``, or ``auto``, which is None."""
    if text.strip().casefold() == "auto":
        return None
    try:
        return true_or_false(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is none of true, false and auto.") from None


def names(text: str) -> tuple[str, ...]:
    """Names or numbers of columns, between commas."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise ArgumentTypeError(f"{text!r} holds an empty name; expected NAME or NAME,NAME.")
    return parts


def patterns(text: str) -> tuple[str, ...]:
    """Paths of files between commas; each may hold ``*``, ``?`` and ``[...]``."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise ArgumentTypeError(f"{text!r} names no file; expected PATH or PATH,PATH.")
    return parts


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas or blanks, as in ``-4,-3,-2,-1``."""
    parts = text.replace(",", " ").split()
    if not parts:
        raise ArgumentTypeError("no number is given.")
    return tuple(any_int(part) for part in parts)


def devices(text: str) -> tuple[int, ...]:
    """Indices of GPUs between commas; nothing at all means the CPU."""
    if not text.strip():
        return ()
    indices = tuple(whole_number(part.strip()) for part in text.split(",") if part.strip())
    if len(set(indices)) != len(indices):
        raise ArgumentTypeError(f"{text!r} names a GPU twice.")
    return indices


def one_of(kind: str, known: Callable[[], Iterable[str]]) -> Callable[[str], str]:
    """A reader for names out of a fixed set; the case of letters does not matter.

    Args:
        kind: what the name is of, in the singular ("optimizer").
        known: gives the names. It is called only when a flag is read or explained, so that it may
            import the (torch-free) module that holds them.
    """

    def read(text: str) -> str:
        folded = {name.casefold(): name for name in known()}
        if text.casefold() not in folded:
            raise ArgumentTypeError(str(UnknownNameError(kind, text, folded.values())))
        return folded[text.casefold()]

    read.__name__ = kind  # argparse and the frozen tables of flags show it
    return read
