"""The rows of a task in the file that its recipe reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.arguments import short
from plainbert.errors import UsageError
from plainbert.finetuning.tables import Table
from plainbert.tasks.classification.columns import USUAL_TEXTS
from plainbert.tasks.ner import escaped

WORDS, TAGS = ("words", "tokens"), ("tags", "ner_tags", "labels")


def text_columns(table: Table, text: Any, labelled: bool) -> tuple[Any, ...]:
    """Which columns hold the texts: those that are named, else the usual ones.

    Args:
        table: the rows.
        text: a column, or two or three; None for the usual ones.
        labelled: whether the last column of tuples is the label.
    """
    if text is not None:
        columns = (text,) if isinstance(text, str | int) else tuple(text)
        return tuple(table.check(column) for column in columns)
    if 0 in table.columns:
        return tuple(table.columns[: len(table.columns) - labelled])
    for names in USUAL_TEXTS:
        if set(names) <= set(table.columns):
            return names
    return (table.check("text"),)


def classified(
    table: Table, text: Any, label: Any, needed: bool = True
) -> tuple[str, tuple[str, ...], str]:
    """Rows of texts and labels as JSON Lines, with the names of their columns.

    Args:
        table: the rows.
        text: the columns of the texts; None for the usual ones.
        label: the column of the labels; None for "label", or the last of a tuple.
        needed: whether every row must have a label.
    """
    numbered = 0 in table.columns
    if label is None:
        label = table.columns[-1] if numbered else "label"
    labelled = needed or label in table.columns
    if labelled:
        table.check(label)
    columns = text_columns(table, text, labelled)
    names = ("text", "text_pair", "text_c") if numbered else tuple(map(str, columns))
    lines = []
    for row in range(len(table)):
        cells = {
            name: _text(table, row, column) for name, column in zip(names, columns, strict=False)
        }
        if labelled:
            value = _label(table.value(row, label), table.classes.get(label))
            if value is None and needed:
                raise UsageError(f"{table.name}[{row}] has no label: {short(table.rows[row])}.")
            cells["label" if numbered else str(label)] = value
        lines.append(files.json_text(cells) + "\n")
    label_name = "label" if numbered else str(label)
    return "".join(lines), names[: len(columns)], label_name


def tagged(table: Table, text: Any, label: Any) -> str:
    """Sentences of words and tags as columns that can hold every word."""
    numbered = 0 in table.columns
    words, tags = (
        table.check(column)
        if column is not None
        else place
        if numbered
        else next((name for name in usual if name in table.columns), None) or table.check(usual[0])
        for column, usual, place in ((text, WORDS, 0), (label, TAGS, 1))
    )
    sentences = []
    for row in range(len(table)):
        where = f"{table.name}[{row}]"
        parts = [_listed(table.value(row, column), where) for column in (words, tags)]
        parts[1] = [str(_label(tag, table.classes.get(tags))) for tag in parts[1]]
        if len(parts[0]) != len(parts[1]) or not parts[0]:
            raise UsageError(
                f"{where} has {len(parts[0])} words and {len(parts[1])} tags; one tag for every "
                "word is expected."
            )
        for word in parts[0]:
            if not isinstance(word, str) or not word:
                raise UsageError(f"{where} has the word {short(word)}; texts are expected.")
        sentences.append(parts)
    return escaped.table(sentences)


def asked(table: Table) -> str:
    """Questions with contexts and answers as the JSON that SQuAD's reader takes."""
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
    return json.dumps(questions, default=_plain)


def written(folder: Path, split: str, content: str, suffix: str) -> Path:
    """Write a file that is named by what it holds, so that none takes the place of another.

    Args:
        folder: made where it does not exist.
        split: "train", "dev" or "test".
        content: of the file.
        suffix: of its name.
    """
    data = content.encode("utf-8", "surrogatepass")
    path = folder / f"{split}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        files.write_text(path, content)
    return path


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
    """What JSON can hold, of an array or a number of numpy's."""
    convert: Callable[[], Any] | None = getattr(value, "tolist", None)
    if convert is None:
        raise UsageError(f"a question holds {short(value)} ({type(value).__name__}).")
    return convert()
