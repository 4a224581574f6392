"""Which column of a tagger's file holds what: words, tags, numbers that count, or nothing we need.

The tag is in the last column and the word in the first, or in the second where the first only
counts (GermEval, CoNLL-U). Remarks begin with "#": ``# id 1 domain=en``, ``#begin document``,
``# text = ...``. A word may begin with "#", too, and be nothing else: it has as many columns as
other words, and a tag that they have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plainbert.errors import DataError
from plainbert.tasks.ner.spelling import OUTSIDE, bracketed, is_usual, marks_entities

DOCUMENT = "-DOCSTART-"

NumberedLine = tuple[int, str]  # number from 1, text

_GLOBAL = re.compile(r"#\s*global\.columns\s*=\s*(.+)")  # CoNLL-U Plus names its columns so
_BOUNDARY = re.compile(r"#\s*(begin|end) document\b")
_BETWEEN = re.compile(r"\d+[-.]\d+")  # CoNLL-U: the range of a written word, an empty node
_WORD_NAMES = {"word", "words", "token", "tokens", "form"}
_TAG_NAMES = {"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "ne"}
_COUNTING_SHARE = 0.95  # of the lines, whose number follows the one before


@dataclass(frozen=True)
class ColumnChoice:
    """What a user says about the columns of a file.

    Attributes:
        word: number from 0, from the end if negative, or name; None leaves it to the file.
        tag: number or name of the tags' column.
    """

    word: str | None = None
    tag: str | None = None

    def __bool__(self) -> bool:
        return self.word is not None or self.tag is not None


@dataclass(frozen=True)
class Columns:
    """How the lines of a file are read.

    Attributes:
        tabs: whether tabs part the columns; else blanks.
        width: columns of a line.
        word: column of the words, from 0.
        tag: column of the tags, from 0; None where there are none.
        counted: whether the first column only counts the words.
        header: line of the columns' names; 0 where there is none.
        tags: what lines that cannot be remarks have in the tags' column, else in the last.
    """

    tabs: bool
    width: int
    word: int
    tag: int | None
    counted: bool
    header: int
    tags: frozenset[str]

    def fields(self, line: str) -> list[str]:
        """The columns of a line; none of an empty line.

        In a file whose columns are parted by blanks, a word may hold some: what there is too much
        belongs to the word.
        """
        fields = split(line, self.tabs)
        if self.tabs and len(fields) == 1 < self.width:
            blanks = split(line, tabs=False)  # one line of a mixed file
            if len(blanks) == self.width and self.tag is not None and blanks[self.tag] in self.tags:
                return blanks
        if not self.tabs and "\t" in line and len(parts := split(line, tabs=True)) == self.width:
            return parts
        surplus = len(fields) - self.width
        if self.tabs or surplus <= 0 or self.width == 1:
            return fields
        first, stop = self.word, self.word + surplus + 1
        return [*fields[:first], " ".join(fields[first:stop]), *fields[stop:]]

    def is_remark(self, line: str, fields: Sequence[str], inside: bool) -> bool:
        """Whether a line is no word.

        Args:
            line: as the file has it.
            fields: its columns.
            inside: whether it follows a word of the same sentence.
        """
        if not line.startswith("#"):
            return False
        if self.counted or len(fields) != self.width:
            return True
        if self.width == 1:
            return False
        tag = fields[-1 if self.tag is None else self.tag]
        if tag in self.tags or tag == "#" or (tag and is_usual(tag)):
            return False
        # Where a sentence begins there may be a remark of as many parts as a line has columns.
        return not inside or _BOUNDARY.match(line) is not None

    def ends_sentence(self, line: str) -> bool:
        """Whether a remark ends a sentence without an empty line: the edge of a document."""
        return _BOUNDARY.match(line) is not None

    def is_between(self, fields: Sequence[str]) -> bool:
        """Whether a line is CoNLL-U's range of words, or an empty node: no word of its own."""
        return self.counted and _BETWEEN.fullmatch(fields[0]) is not None

    def starts_document(self, fields: Sequence[str]) -> bool:
        """Whether a line marks the beginning of a document."""
        return DOCUMENT in (fields[0], fields[self.word] if self.word < len(fields) else "")


def split(line: str, tabs: bool) -> list[str]:
    """The parts of a line; none of an empty one.

    Only the blank of ASCII and the tab count: other white space may belong to a word.
    """
    line = line.rstrip(" \t")
    if tabs and line:
        return [field.strip(" ") for field in line.split("\t")]
    return [field for field in re.split("[ \t]+", line) if field]


def columns_of(
    lines: Sequence[NumberedLine], path: Path, choice: ColumnChoice, tagged: bool
) -> Columns:
    """How the lines of a file are to be read.

    Args:
        lines: all of the file.
        path: the file, for errors.
        choice: what the user says.
        tagged: whether every word must have a tag.

    Raises:
        DataError: the file has no such column, or looks like CoNLL-U and the user does not say
            which of its columns holds the tags.
    """
    bodies = [(number, line) for number, line in lines if line.strip(" \t")]
    plain = [(number, line) for number, line in bodies if not line.startswith("#")] or bodies
    tabs = 2 * sum("\t" in line.rstrip(" \t") for _, line in plain) > len(plain)
    rows = {number: split(line, tabs) for number, line in plain}
    sizes = Counter(len(row) for row in rows.values() if row[0] != DOCUMENT)
    width = max(sizes, key=lambda size: (sizes[size], size), default=1)
    names, header = _names(lines, rows, choice)
    even = [row for number, row in rows.items() if len(row) == width and number != header]
    counted = _counts(list(_blocks(lines, rows, header)), even, width)
    word = _place(choice.word, width, names, path, "word")
    if word is None:
        word = names.index("FORM") if "FORM" in names[:width] else int(counted)
    counted = counted and word != 0
    tag = _place(choice.tag, width, names, path, "tag", bare=not tagged and width <= 1 + counted)
    if tag is None and choice.tag is None and width > 1 + counted:
        tag = width - 1
    if tag == word:
        raise DataError(f"column {word} cannot hold both the words and the tags.", path)
    if choice.word is None and tag is not None and marks_entities(row[word] for row in even):
        raise DataError(
            f"column {word}, where the words would be, holds tags of entities, first "
            f"{even[0][word]!r}. Say where they are: finetune_ner.py --word_column {tag} "
            f"--tag_column {word}.",
            path,
        )
    tags = frozenset(row[-1 if tag is None else tag] for row in even)
    if (
        choice.tag is None
        and tag is not None
        and tags
        and (tags <= {"_"} or (counted and _remarks(tags)))
    ):
        if tagged:
            raise DataError(
                f"the last of its {width} columns holds no tags, but _ or remarks. Tell "
                "finetune_ner.py or predict_ner.py with --tag_column which one does, from 0; in "
                "CoNLL-U 3 is the part of speech.",
                path,
            )
        tag = None
    return Columns(tabs, width, word, tag, counted, header, tags)


def notes(columns: Columns, lines: Sequence[NumberedLine]) -> Iterator[str]:
    """What a user should know about the columns of a file, where there are more than two."""
    if columns.counted:
        yield "the first column counts the words and is left out"
    if columns.header:
        yield f"line {columns.header} names the columns and is left out"
    if columns.width < 3 or columns.tag is None:
        return
    yield f"of {columns.width} columns, {columns.word} holds the words and {columns.tag} the tags"
    others = set(range(columns.width)) - {columns.word, columns.tag, 0 if columns.counted else -1}
    rows = [columns.fields(line) for _, line in lines if not line.startswith("#")]
    for place in sorted(others):
        held = Counter(row[place] for row in rows if len(row) == columns.width)
        if marks_entities(held) or bracketed(held):
            yield (
                f"column {place} marks entities, too: finetune_ner.py --tag_column {place} would "
                "take it"
            )


def _names(
    lines: Sequence[NumberedLine], rows: dict[int, list[str]], choice: ColumnChoice
) -> tuple[list[str], int]:
    """The names of the columns, and the line that holds nothing else; [] and 0 without any."""
    for _, line in lines[:50]:
        if stated := _GLOBAL.match(line):
            return stated[1].split(), 0
    number = next(iter(rows), 0)
    first = rows.get(number, [])
    named = {
        name for name in (choice.word, choice.tag) if name is not None and not _is_number(name)
    }
    folded = [field.casefold() for field in first]
    usual = len(first) > 1 and _WORD_NAMES & set(folded) and folded[-1] in _TAG_NAMES
    once = first and sum(row[-1] == first[-1] for row in rows.values()) == 1
    if (named and named <= set(first)) or (usual and once):
        return first, number
    return [], 0


def _is_number(name: str) -> bool:
    return re.fullmatch(r"-?\d+", name) is not None


def _place(
    name: str | None, width: int, names: list[str], path: Path, what: str, bare: bool = False
) -> int | None:
    """The column that a name or number means; None for one that is not stated, or may lack."""
    if name is None:
        return None
    if _is_number(name):
        number = int(name)
        if -width <= number < width:
            return number % width
    elif name in names[:width]:
        return names.index(name)
    if bare:
        return None
    known = f" Its names: {', '.join(names)}." if names else ""
    raise DataError(
        f"--{what}_column {name}: most lines have {width} column(s), numbered from 0 to "
        f"{width - 1}, or from -1 backwards.{known}",
        path,
    )


def _blocks(
    lines: Sequence[NumberedLine], rows: dict[int, list[str]], header: int
) -> Iterator[list[str]]:
    """The first columns of each sentence."""
    block: list[str] = []
    for number, line in lines:
        if number in rows and number != header and rows[number][0] != DOCUMENT:
            block.append(rows[number][0])
        elif block and not line.strip(" \t"):
            yield block
            block = []
    if block:
        yield block


def _counts(blocks: list[list[str]], rows: list[list[str]], width: int) -> bool:
    """Whether the first column only counts the words: of each sentence, or of the file.

    Numbers may be words as well; then what stands behind them are tags.
    """
    if width < 2 or not any(len(block) > 1 for block in blocks):
        return False
    second = Counter(row[1] for row in rows)
    if marks_entities(second) or set(second) <= {OUTSIDE}:
        return False
    follows, total, before = 0, 0, None
    for block in blocks:
        numbers = [field for field in block if not _BETWEEN.fullmatch(field)]
        if not all(re.fullmatch(r"0|[1-9]\d*", field, re.ASCII) for field in numbers):
            return False
        for place, number in enumerate(map(int, numbers)):
            begins = place == 0 and number in (0, 1)
            follows += begins or (before is not None and number == before + 1)
            before, total = number, total + 1
    return follows >= _COUNTING_SHARE * total


def _remarks(tags: frozenset[str]) -> bool:
    """Whether the last column is CoNLL-U's MISC: empty, or names with values."""
    return all(tag == "_" or "=" in tag for tag in tags)
