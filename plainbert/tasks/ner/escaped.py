"""Columns of words that no plain file could hold: tabs and line ends are written as letters.

The first line says so, and a reader that knows it gets back the very words. Only files that need
it are written in this form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

MARK = r"# plainbert: \t, \n, \r and \\ stand for tab, line feed, carriage return and backslash"
_LETTERS = {"\t": r"\t", "\n": r"\n", "\r": r"\r", "\\": r"\\"}
_CHARACTERS = {letters: character for character, letters in _LETTERS.items()}

WordsTagsLines = tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]


def table(sentences: Iterable[Sequence[Sequence[str]]]) -> str:
    """A file's content.

    Args:
        sentences: columns of each, of the same length: words, tags ...
    """
    blocks = [
        "".join("\t".join(map(_written, row)) + "\n" for row in zip(*columns, strict=True))
        for columns in sentences
    ]
    return f"{MARK}\n" + "\n".join(blocks)


def read(lines: Iterable[tuple[int, str]]) -> Iterator[WordsTagsLines]:
    """Words, tags and line numbers of each sentence.

    Args:
        lines: behind the first one, with their numbers.
    """
    rows: list[tuple[str, str, int]] = []
    for number, line in [*lines, (0, "")]:
        if line:
            fields = [_meant(field) for field in line.split("\t")]
            rows.append((fields[0], fields[-1], number))
        elif rows:
            words, tags, numbers = zip(*rows, strict=True)
            yield words, tags, numbers
            rows = []


def _written(word: str) -> str:
    return re.sub(r"[\t\n\r\\]", lambda match: _LETTERS[match[0]], word)


def _meant(field: str) -> str:
    return re.sub(r"\\[tnr\\]", lambda match: _CHARACTERS[match[0]], field)
