"""Files of questions: SQuAD's JSON, 1.1 and 2.0, and the sets that took over its form."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plainbert import text_files
from plainbert.errors import DataError
from plainbert.tasks.squad.data import Question, Squad, gather, list_of, question_of, text_of


def read(path: str | Path, training: bool = False) -> Squad:
    """Read a file, plain, .gz or .xz: JSON in SQuAD's form, or flat, as run_qa.py takes it.

    Flat are a list, or JSON Lines, of questions that each have their "context".

    An answer that is not where the file says is looked for by its text: the occurrence nearest to
    the stated place counts, or the only one where no place is stated.

    Args:
        path: a file; ``-`` is standard input.
        training: an id may occur twice, because nothing is written by id.

    Raises:
        DataError: the file is not JSON (says where), has another form (says which question lacks
            what), or two questions to be predicted have one id.
    """
    name = "standard input" if str(path) == "-" else str(path)
    return gather(_questions(_json(path, name), name), name, training)


def _json(path: str | Path, name: str) -> Any:
    text = text_files.read_text(path)
    try:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            # More than one value: JSON Lines, if every line is one.
            rows = _rows(text, name) if error.msg == "Extra data" else None
            if rows is None:
                raise
            return rows
    except json.JSONDecodeError as error:
        around = error.doc[max(0, error.pos - 30) : error.pos + 30]
        raise DataError(
            f"is not JSON: {error.msg} (column {error.colno}, character {error.pos} of the file, "
            f"near {around!r}).",
            name,
            error.lineno,
        ) from None
    except (ValueError, RecursionError) as error:  # numbers of 5000 digits, lists of lists ...
        raise DataError(f"is not JSON: {error}.", name) from None


def _rows(text: str, name: str) -> list[Any] | None:
    """The values of JSON Lines; None where the first line is no value, so it is another file."""
    rows: list[Any] = []
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            if not rows:
                return None
            raise DataError(f"is not JSON: {error.msg}.", name, number, line.rstrip()) from None
    return rows


def _questions(value: Any, name: str) -> Iterator[tuple[Question, list[tuple[str, str]]]]:
    """Every question of a file, in order."""
    if isinstance(value, dict) and not value.keys() & {"paragraphs", "qas", "question"}:
        value = list_of(name, value, "data")
    elif isinstance(value, dict):  # one line of JSON Lines
        value = [value]
    if not isinstance(value, list):
        raise DataError(
            f"holds a JSON {type(value).__name__}; an object with a list of articles as 'data' is "
            "expected (SQuAD's form), or a list or lines of questions with their contexts.",
            name,
        )
    for number, entry in enumerate(value):
        yield from _entry(entry, f"{name}: data[{number}]")


def _entry(entry: Any, place: str) -> Iterator[tuple[Question, list[tuple[str, str]]]]:
    """The questions of an article, of a paragraph that stands alone, or one with its context.

    Source:
        SQuAD's files (articles); KorQuAD 2 and simpletransformers (paragraphs);
        huggingface/transformers, examples/pytorch/question-answering/run_qa.py (questions).
    """
    title = str(entry.get("title", "")) if isinstance(entry, dict) else ""
    if isinstance(entry, dict) and "paragraphs" not in entry and "question" in entry:
        yield question_of(place, entry, text_of(place, entry, "context"), title)
        return
    paragraphs = [(place, entry)]
    if not (isinstance(entry, dict) and "qas" in entry and "paragraphs" not in entry):
        listed = list_of(place, entry, "paragraphs")
        paragraphs = [(f"{place}.paragraphs[{row}]", part) for row, part in enumerate(listed)]
    for inner, paragraph in paragraphs:
        context = text_of(inner, paragraph, "context")
        for index, values in enumerate(list_of(inner, paragraph, "qas")):
            yield question_of(f"{inner}.qas[{index}]", values, context, title)
