"""Words with tags from files: CoNLL's columns, or one sentence a line.

Two forms, told apart by what a file holds:

- ``columns``: a word a line, its tag in the last of any number of columns (between tabs, or else
  between blanks), an empty line after each sentence; lines of ``-DOCSTART-`` are left out. One
  column alone is words without tags.
- ``rows``, as bert-multi-gpu has it: a sentence a line, the words between blanks, a tab, as many
  labels between blanks. Without the tab it is words without tags.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plainbert.errors import DataError, UnknownNameError
from plainbert.text_files import read_lines

FORMS = ("columns", "rows")
DOCUMENT = "-DOCSTART-"
NO_WORD = "no word before the tag; left out"
BLANK_INSIDE = "a word that holds a blank; kept as one word"

NumberedLine = tuple[int, str]  # number from 1, text


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of a sentence.

    Args:
        words: as the file has them.
        tags: one for each word; None where the file has none.
        lines: line of the file, from 1, in which each word stands.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sentences:
    """What a file holds.

    Attributes:
        sentences: in the order of the file; each has at least one word.
        path: the file.
        form: one of ``FORMS``.
        problems: lines that could not be taken as they are: ``file:line: reason``, by reason.
    """

    sentences: list[Sentence]
    path: Path
    form: str
    problems: Mapping[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def tagged(self) -> bool:
        """Whether every word has a tag."""
        return all(sentence.tags is not None for sentence in self.sentences)


def read(path: str | Path, form: str | None = None, tagged: bool = True) -> Sentences:
    """Read a file of words and tags.

    Args:
        path: UTF-8 text, .gz and .xz too; ``-`` is standard input.
        form: one of ``FORMS``, for a file without a tab; None: rows if it is called .tsv and a
            line holds a blank, else columns. A tab shows the form.
        tagged: whether every word must have a tag.

    Raises:
        DataError: the file holds nothing, or a line that cannot be read; file and line are named.
        UnknownNameError: ``form`` is not one of ``FORMS``.

    Source:
        CoNLL-2003 shared task (columns); HaoyuHu/bert-multi-gpu, run_seq_labeling.py (rows).
    """
    if form is not None and form not in FORMS:
        raise UnknownNameError("form of tagged text", form, FORMS)
    path = Path(path)
    lines = list(read_lines(path))
    form = _form(lines, path, form)
    problems: dict[str, list[str]] = {}
    parts = _rows(lines, path) if form == "rows" else _columns(lines, path, problems)
    sentences = list(parts)
    if not sentences:
        raise DataError("holds no sentence.", path)
    for sentence in sentences:
        if tagged and sentence.tags is None:
            raise DataError(
                "a word without a tag. Each line has a word and, as its last column, a tag; or "
                "each has a sentence, a tab, and as many labels as words.",
                path,
                sentence.lines[0],
                sentence.words[0],
            )
    return Sentences(sentences, path, form, problems)


def _form(lines: list[NumberedLine], path: Path, stated: str | None) -> str:
    """How a file looks: only rows have blanks between their labels."""
    tabs = False
    for _, line in lines:
        _, tab, last = line.rstrip(" \t").rpartition("\t")
        if tab and " " in last:
            return "rows"
        tabs = tabs or bool(tab)
    if tabs:
        return "columns"
    if stated is not None:
        return stated
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix not in (".gz", ".xz")]
    sentences = any(" " in line.strip(" ") for _, line in lines)
    return "rows" if suffixes[-1:] == [".tsv"] and sentences else "columns"


def _rows(lines: Iterable[NumberedLine], path: Path) -> Iterator[Sentence]:
    """Sentences of a file with one a line."""
    for number, line in lines:
        left, *right = line.rstrip(" \t").split("\t")
        words, tags = left.split(" "), " ".join(right).split(" ")
        words, tags = [word for word in words if word], [tag for tag in tags if tag]
        if not words and not tags:
            continue
        if len(right) > 1 or (right and len(words) != len(tags)):
            raise DataError(
                f"{len(words)} words and {len(tags)} labels in {1 + len(right)} column(s); the "
                "words between blanks, one tab, and as many labels are expected.",
                path,
                number,
                line,
            )
        yield Sentence(tuple(words), tuple(tags) if right else None, (number,) * len(words))


def _columns(
    lines: Iterable[NumberedLine], path: Path, problems: dict[str, list[str]]
) -> Iterator[Sentence]:
    """Sentences of a file with one word a line."""
    split = [(number, line, *_fields(line)) for number, line in lines]
    sizes = Counter(len(fields) for *_, fields in split if fields and fields[0] != DOCUMENT)
    width = max(sizes, key=lambda size: (sizes[size], size), default=0)
    words: list[str] = []
    tags: list[str] = []
    places: list[int] = []
    for number, line, tab, fields in [*split, (0, "", False, [])]:
        if not fields or fields[0] == DOCUMENT:
            if words:
                yield Sentence(tuple(words), tuple(tags) if width > 1 else None, tuple(places))
                words, tags, places = [], [], []
            continue
        if len(fields) < width or (len(fields) > width and (tab or width == 1)):
            raise DataError(
                f"{len(fields)} column(s); {width} are expected, as in most lines of this file. "
                "(predict_ner.py takes plain text, one sentence a line, with --file.)",
                path,
                number,
                line,
            )
        word = " ".join(fields[: len(fields) - width + 1])
        reason = BLANK_INSIDE if " " in word else "" if word else NO_WORD
        if reason:
            problems.setdefault(reason, []).append(f"{path}:{number}: {reason}: {line!r}")
        if not word:
            continue
        words.append(word)
        tags.append(fields[-1])
        places.append(number)


def _fields(line: str) -> tuple[bool, list[str]]:
    """Whether tabs part the columns of a line, and the columns; none in an empty line.

    Only the blank of ASCII and the tab count: other white space may belong to a word.
    """
    line = line.rstrip(" \t")
    if "\t" in line:
        return True, [field.strip(" ") for field in line.split("\t")]
    return False, [field for field in re.split(" +", line) if field]
