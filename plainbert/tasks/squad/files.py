"""Files of questions: SQuAD's JSON, 1.1 and 2.0, and the sets that took over its form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plainbert import text_files
from plainbert.errors import DataError
from plainbert.tasks.squad.data import Question, Squad, gather, list_of, question_of, text_of


def read(path: str | Path, training: bool = False) -> Squad:
    """Read a file: JSON in SQuAD's form, plain, .gz or .xz.

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
    try:
        return json.loads(text_files.read_text(path))
    except json.JSONDecodeError as error:
        around = error.doc[max(0, error.pos - 30) : error.pos + 30]
        raise DataError(
            f"is not JSON: {error.msg} (column {error.colno}, character {error.pos} of the file, "
            f"near {around!r}).",
            name,
            error.lineno,
        ) from None
    except DataError:
        raise
    except (ValueError, RecursionError) as error:  # numbers of 5000 digits, lists of lists ...
        raise DataError(f"is not JSON: {error}.", name) from None


def _questions(value: Any, name: str) -> Iterator[tuple[Question, list[tuple[str, str]]]]:
    """Every question of a file, in order."""
    if isinstance(value, dict):
        value = list_of(name, value, "data")
    if not isinstance(value, list):
        raise DataError(
            f"holds a JSON {type(value).__name__}; an object with a list of articles as 'data' is "
            "expected (SQuAD's form).",
            name,
        )
    for number, article in enumerate(value):
        place = f"{name}: data[{number}]"
        title = article.get("title", "") if isinstance(article, dict) else ""
        for row, paragraph in enumerate(list_of(place, article, "paragraphs")):
            inner = f"{place}.paragraphs[{row}]"
            context = text_of(inner, paragraph, "context")
            for index, values in enumerate(list_of(inner, paragraph, "qas")):
                yield question_of(f"{inner}.qas[{index}]", values, context, str(title))
