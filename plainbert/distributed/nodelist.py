"""Slurm's short forms: ``n[01-04,07],m2`` for hosts and ``2(x3),1`` for counts."""

from __future__ import annotations

import math
import re
from itertools import product

from plainbert.errors import UsageError

_PIECE = re.compile(r"\[([^\][]*)\]|([^\][]+)")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
MOST = 65536  # hosts; a longer list is a mistake


def expand_hosts(text: str) -> list[str]:
    """Every host of a Slurm node list, in its order.

    Args:
        text: for example ``n[01-04,07],m2`` or ``rack[0-1]n[0-3]-ib``.

    Raises:
        UsageError: it is not a node list.

    Example:
        >>> expand_hosts("n[08-10,12],m2")
        ['n08', 'n09', 'n10', 'n12', 'm2']

    Source:
        ``scontrol show hostnames``.
    """
    hosts: list[str] = []
    for part in _split(text):
        choices = []
        position = 0
        while position < len(part):
            piece = _PIECE.match(part, position)
            if piece is None:
                raise _wrong(text)
            choices.append([piece[2]] if piece[1] is None else _numbers(piece[1], text))
            position = piece.end()
        count = math.prod(map(len, choices))
        if not choices or len(hosts) + count > MOST:
            raise _wrong(text)
        hosts += ["".join(strings) for strings in product(*choices)]
    if not hosts:
        raise _wrong(text)
    return hosts


def expand_counts(text: str) -> list[int]:
    """Every count of a Slurm list of task counts.

    Args:
        text: for example ``2(x3),1``.

    Raises:
        UsageError: it is not such a list.

    Example:
        >>> expand_counts("2(x3),1")
        [2, 2, 2, 1]
    """
    counts: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match is None or int(match[2] or 1) + len(counts) > MOST:
            raise UsageError(
                f"{text!r} is not a list of task counts as Slurm writes it, such as '2(x3),1'."
            )
        counts += [int(match[1])] * int(match[2] or 1)
    return counts


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if depth not in (0, 1):
            raise _wrong(text)
        if letter == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth:
        raise _wrong(text)
    return [*parts, text[start:]]


def _numbers(text: str, whole: str) -> list[str]:
    """``01-04,07`` -> 01 02 03 04 07; the width of the first number is kept."""
    numbers: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise _wrong(whole)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MOST:
            raise _wrong(whole)
        numbers += [f"{number:0{len(match[1])}d}" for number in range(first, last + 1)]
    return numbers


def _wrong(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a list of hosts as Slurm writes it, such as 'n[01-04,07],m2'."
    )
