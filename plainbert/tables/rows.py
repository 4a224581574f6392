"""What the rows of a table are to a task: texts and labels, words and tags, questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import DataError, UsageError
from plainbert.tables.table import Table, table_of
from plainbert.tasks.classification import columns as file_columns
from plainbert.tasks.classification.headers import USUAL_TEXTS
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.columns import ColumnChoice
from plainbert.tasks.squad import files as squad_files
from plainbert.tasks.squad.data import gather, question_of

WORDS, TAGS = ("words", "tokens"), ("tags", "ner_tags", "labels")


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels.

    Attributes:
        texts: one to three texts of each row; (N,).
        labels: of each row, None where there is none; (N,).
        text_columns: names of the columns of the texts.
        label_column: name of the column of the labels; None where there is none.
    """

    texts: list[tuple[str, ...]]
    labels: list[str | int | float | None]
    text_columns: tuple[str, ...]
    label_column: str | None

    def lines(self) -> str:
        """As JSON Lines."""
        lines = []
        for texts, label in zip(self.texts, self.labels, strict=True):
            row: dict[str, Any] = dict(zip(self.text_columns, texts, strict=True))
            if self.label_column is not None:
                row[self.label_column] = label
            lines.append(files.json_text(row) + "\n")
        return "".join(lines)


def labelled(table: Table, text: Any, label: Any, needed: bool = True) -> Labelled:
    """Texts and labels out of a table.

    Args:
        table: the rows.
        text: the columns of the texts; None for the usual ones.
        label: the column of the labels; None for "label", or the last of a tuple.
        needed: whether every row must have a label.

    Raises:
        UsageError: a column is missing, or a value is of another kind.
    """
    numbered = 0 in table.columns
    if label is None:
        label = table.columns[-1] if numbered else "label"
    has_labels = needed or label in table.columns
    if has_labels:
        table.check(label)
    columns = _text_columns(table, text, has_labels)
    names = ("text", "text_pair", "text_c") if numbered else tuple(map(str, columns))
    texts = [tuple(_text(table, row, column) for column in columns) for row in range(len(table))]
    labels: list[str | int | float | None] = [None] * len(table)
    if has_labels:
        labels = [
            _label(table.value(row, label), table.classes.get(label)) for row in range(len(table))
        ]
    if needed and None in labels:
        row = labels.index(None)
        raise UsageError(f"{table.name}[{row}] has no label: {short(table.rows[row])}.")
    label_name = "label" if numbered else str(label)
    return Labelled(texts, labels, names[: len(columns)], label_name if has_labels else None)


def tagged(table: Table, text: Any, label: Any) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The words and tags of sentences out of a table.

    Args:
        table: the rows.
        text: the column of the words; None for "words", "tokens", or the first of a tuple.
        label: the column of the tags; None for "tags", "ner_tags", "labels", or the second.

    Raises:
        UsageError: a column is missing, or words and tags are not as many.
    """
    words, tags = _word_column(table, text, WORDS, 0), _word_column(table, label, TAGS, 1)
    sentences = []
    for row in range(len(table)):
        where = f"{table.name}[{row}]"
        left = tuple(_listed(table.value(row, words), where))
        names = table.classes.get(tags)
        right = tuple(str(_label(tag, names)) for tag in _listed(table.value(row, tags), where))
        if len(left) != len(right) or not left:
            raise UsageError(
                f"{where} has {len(left)} words and {len(right)} tags; one tag for every word is "
                "expected."
            )
        for word in left:
            if not isinstance(word, str) or not word:
                raise UsageError(f"{where} has the word {short(word)}; texts are expected.")
        sentences.append((left, right))
    return sentences


def asked(table: Table) -> list[dict[str, Any]]:
    """Questions with contexts and answers, as SQuAD's reader takes the values of a file."""
    questions = []
    for number, row in enumerate(table.rows):
        if "paragraphs" in row or "qas" in row:
            questions.append(dict(row))
            continue
        for column in ("question", "context"):
            table.check(column)
        question = {"id": str(number), **row}
        if "answer" in row and "answers" not in row:
            question["answers"] = row["answer"]
        answers = question.get("answers")
        if isinstance(answers, str):
            answers = [answers] if answers else []
        if isinstance(answers, list):
            question["answers"] = [
                {"text": one} if isinstance(one, str) else one for one in answers
            ]
        questions.append(question)
    return [{key: _plain(value) for key, value in row.items()} for row in questions]


def scored(head: str, data: Any, text: Any, label: Any) -> tuple[list[Any], list[Any] | None]:
    """The rows that a model is scored on, and what is right; a file is read as its command does.

    Args:
        head: of the model, a name of :data:`plainbert.nn.names.HEADS`.
        data: a file, or a table of any kind.
        text: the columns of the texts, or of the words; None for the usual ones.
        label: the column of the labels, or of the tags; None for the usual one.

    Returns:
        texts and labels; words and tags; questions and None.

    Raises:
        UsageError: the data is of another kind, or lacks a column.
        DataError: a file cannot be used.
    """
    path = Path(data) if isinstance(data, str | Path) else None
    if head == "question_answering":
        if path is not None:
            return list(squad_files.read(path).questions), None
        return list(_questions(table_of(data, "data"))), None
    if head == "token_classification":
        if path is not None:
            choice = ColumnChoice(*(None if one is None else str(one) for one in (text, label)))
            sentences = conll.read(path, choice=choice).sentences
            return [one.words for one in sentences], [one.tags for one in sentences]
        pairs = tagged(table_of(data, "data"), text, label)
        return [words for words, _ in pairs], [tags for _, tags in pairs]
    if path is not None:
        names = None if text is None else [text] if isinstance(text, str | int) else list(text)
        column = "label" if label is None else str(label)
        rows = list(file_columns.read(path, file_columns.parse(names), column))
        if any(row.label is None for row in rows):
            raise DataError(f"has no column {column!r}.", path)
        return [row.texts for row in rows], [row.label for row in rows]
    part = labelled(table_of(data, "data"), text, label)
    return list(part.texts), list(part.labels)


def _questions(table: Table) -> Iterable[Any]:
    """The questions of a flat table."""
    entries = []
    for row, values in enumerate(asked(table)):
        if "question" not in values:
            raise UsageError(f"data[{row}] has no 'question': {short(values)}.")
        entries.append(question_of(f"data[{row}]", values, values["context"]))
    return gather(entries, "data").questions


def _text_columns(table: Table, text: Any, labelled: bool) -> tuple[Any, ...]:
    """Which columns hold the texts: those that are named, else the usual ones."""
    if text is not None:
        columns = (text,) if isinstance(text, str | int) else tuple(text)
        return tuple(table.check(column) for column in columns)
    if 0 in table.columns:
        return tuple(table.columns[: len(table.columns) - labelled])
    for names in USUAL_TEXTS:
        if set(names) <= set(table.columns):
            return names
    return (table.check("text"),)


def _word_column(table: Table, column: Any, usual: Sequence[str], place: int) -> Any:
    """Which column holds words, or tags."""
    if column is not None:
        return table.check(column)
    if 0 in table.columns:
        return table.check(place)
    there = [name for name in usual if name in table.columns]
    return there[0] if there else table.check(usual[0])


def _text(table: Table, row: int, column: Any) -> str:
    value = table.value(row, column)
    if not isinstance(value, str):
        raise UsageError(
            f"{table.name}[{row}], {column!r} is {short(value)} ({type(value).__name__}); a text "
            "is expected."
        )
    return value


def _label(value: Any, names: Sequence[str] | None) -> str | int | float | None:
    """A label as JSON can hold it, by its name where numbers have names; None where it is none."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value != value:  # NaN, as pandas has what is not there
        return None
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str | int | float):
        return value
    raise UsageError(f"a label is {short(value)} ({type(value).__name__}); a name or a number is.")


def _listed(value: Any, where: str) -> list[Any]:
    """The words, or tags, of a sentence; a text is split at its blanks."""
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        raise UsageError(f"{where} has {short(value)}; a list of words, and of tags, is expected.")
    return list(value)


def _plain(value: Any) -> Any:
    """What JSON can hold, of arrays and numbers of numpy's at any depth."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    convert: Callable[[], Any] | None = getattr(value, "tolist", None)
    if convert is None:
        raise UsageError(f"a question holds {short(value)} ({type(value).__name__}).")
    return convert()
