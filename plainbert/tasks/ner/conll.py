"""Words with tags from files: CoNLL's columns, or one sentence a line.

Two forms, told apart by what most lines of a file hold:

- ``columns``: a word a line, its tag in the last of any number of columns (between tabs, or else
  between blanks), an empty line after each sentence; lines of ``-DOCSTART-`` and remarks are left
  out, see :mod:`plainbert.tasks.ner.columns`. One column alone is words without tags.
- ``rows``, as bert-multi-gpu has it: a sentence a line, the words between blanks, a tab, as many
  labels between blanks. Without the tab it is words without tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from plainbert.containers.rows import suffix_of
from plainbert.errors import DataError, UnknownNameError
from plainbert.tasks.ner import escaped
from plainbert.tasks.ner.columns import ColumnChoice, NumberedLine, columns_of, notes
from plainbert.tasks.ner.spelling import bracketed, of_brackets
from plainbert.text_files import read_lines

FORMS = ("columns", "rows")
# Tables of other kinds, whose lines would be taken for words.
OTHER_FORMS = (".csv", ".json", ".jsonl", ".ndjson")
NO_WORD = "no word before the tag; left out"
BLANK_INSIDE = "a word that holds a blank; kept as one word"

ANY = ColumnChoice()


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
        notes: how the file was read, where that is not plain to see.
    """

    sentences: list[Sentence]
    path: Path
    form: str
    problems: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def tagged(self) -> bool:
        """Whether every word has a tag."""
        return all(sentence.tags is not None for sentence in self.sentences)


def read(
    path: str | Path,
    form: str | None = None,
    tagged: bool = True,
    choice: ColumnChoice = ANY,
) -> Sentences:
    """Read a file of words and tags.

    Args:
        path: UTF-8 text, .gz and .xz too; ``-`` is standard input.
        form: one of ``FORMS``, for a file without a tab; None: rows if it is called .tsv and a
            line holds a blank, else columns. A tab shows the form.
        tagged: whether every word must have a tag.
        choice: which columns hold words and tags, for a file of columns.

    Raises:
        DataError: the file holds nothing, or a line that cannot be read; file and line are named.
        UnknownNameError: ``form`` is not one of ``FORMS``.

    Source:
        CoNLL-2003 shared task (columns); HaoyuHu/bert-multi-gpu, run_seq_labeling.py (rows).
    """
    if form is not None and form not in FORMS:
        raise UnknownNameError("form of tagged text", form, FORMS)
    path = Path(path)
    if (suffix := suffix_of(path)) in OTHER_FORMS:
        raise DataError(
            f"is a {suffix} file; columns between tabs or blanks are expected, a word and its tag "
            "a line, and an empty line after each sentence. (predict_ner.py takes .csv and .jsonl "
            "rows of plain text with --file.)",
            path,
        )
    return of_lines(list(read_lines(path)), path, form, tagged, choice)


def of_lines(
    lines: list[NumberedLine],
    path: Path,
    form: str | None = None,
    tagged: bool = True,
    choice: ColumnChoice = ANY,
) -> Sentences:
    """What the lines of a file hold; arguments as for :func:`read`."""
    problems: dict[str, list[str]] = {}
    remarks: list[str] = []
    if lines and lines[0][1] == escaped.MARK:
        form, sentences = "columns", [Sentence(*parts) for parts in escaped.read(lines[1:])]
    else:
        form = "columns" if choice else _form(lines, path, form)
        if form == "rows":
            sentences = list(_rows(lines, path))
        else:
            sentences = list(_columns(lines, path, choice, tagged, problems, remarks))
            sentences = _without_brackets(sentences, remarks)
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
    return Sentences(sentences, path, form, problems, tuple(remarks))


def _without_brackets(sentences: list[Sentence], remarks: list[str]) -> list[Sentence]:
    """Sentences whose tags are IOB2 where brackets marked the entities, as in OntoNotes."""
    if not bracketed(tag for sentence in sentences for tag in sentence.tags or ()):
        return sentences
    remarks.append("brackets mark the entities, (PER* *) or (PER); they are read as B-PER I-PER")
    return [
        sentence if sentence.tags is None else replace(sentence, tags=of_brackets(sentence.tags))
        for sentence in sentences
    ]


def _form(lines: list[NumberedLine], path: Path, stated: str | None) -> str:
    """How a file looks: only rows have blanks between their labels, as many as between words.

    One line decides nothing where empty lines part the others into sentences.
    """
    bodies = [line.rstrip(" \t") for _, line in lines if not line.startswith("#")]
    split = [line.split("\t") for line in bodies if "\t" in line]
    if split:
        several = [parts for parts in split if " " in parts[-1] and " " in parts[0].strip(" ")]
        even = [parts for parts in several if len(parts) == 2 and _as_many(*parts)]
        if 2 * len(even) >= len(split):
            return "rows"
        parted = "" in "\n".join(bodies).strip("\n").split("\n")
        return "rows" if several and not parted else "columns"
    if stated is not None:
        return stated
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix not in (".gz", ".xz")]
    sentences = any(" " in line.strip(" ") for line in bodies)
    return "rows" if suffixes[-1:] == [".tsv"] and sentences else "columns"


def _as_many(words: str, labels: str) -> bool:
    return len(words.split()) == len(labels.split())


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
    lines: Sequence[NumberedLine],
    path: Path,
    choice: ColumnChoice,
    tagged: bool,
    problems: dict[str, list[str]],
    remarks: list[str],
) -> Iterator[Sentence]:
    """Sentences of a file with one word a line."""
    columns = columns_of(lines, path, choice, tagged)
    left_out: dict[str, list[NumberedLine]] = {"remarks": [], "ranges and empty nodes": []}
    rows: list[tuple[str, str, int]] = []
    for number, line in [*lines, (0, "")]:
        fields = columns.fields(line)
        if number == columns.header and number:
            continue
        remark = bool(fields) and columns.is_remark(line, fields, bool(rows))
        if remark:
            left_out["remarks"].append((number, line))
        edge = remark and columns.ends_sentence(line)
        if not fields or edge or columns.starts_document(fields):
            if rows:
                words, tags, numbers = zip(*rows, strict=True)
                yield Sentence(words, tags if columns.tag is not None else None, numbers)
                rows = []
            continue
        if remark:
            continue
        if columns.is_between(fields):
            left_out["ranges and empty nodes"].append((number, line))
            continue
        if len(fields) != columns.width:
            raise DataError(
                f"{len(fields)} column(s); {columns.width} are expected, as in most lines of this "
                "file. (predict_ner.py takes plain text, one sentence a line, with --file.)",
                path,
                number,
                line,
            )
        word = fields[columns.word]
        reason = BLANK_INSIDE if " " in word else "" if word else NO_WORD
        if reason:
            problems.setdefault(reason, []).append(f"{path}:{number}: {reason}: {line!r}")
        if word:
            rows.append((word, fields[columns.tag or 0], number))
    for kind, kind_lines in left_out.items():
        if kind_lines:
            number, line = kind_lines[0]
            remarks.append(f"{len(kind_lines)} {kind} left out. First: {path}:{number}: {line!r}")
    remarks.extend(notes(columns, lines))
