"""Answers as files and as a table."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.containers import tables
from plainbert.errors import UsageError
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Answer, Span

log = logging.getLogger(__name__)

PREDICTIONS = "predictions.json"


def write_folder(folder: Path, found: Sequence[Answer]) -> None:
    """Write what was answered: ``predictions.json`` and ``nbest_predictions.json``.

    Where "no answer" is possible, also ``null_odds.json`` (score of no answer minus that of the
    best answer) and ``na_probs.json`` (its probability, for ``evaluate-v2.0.py -n``).
    """
    _write(folder / PREDICTIONS, {each.id: each.text for each in found})
    nbest = {each.id: [_listed(span) for span in each.nbest] for each in found}
    _write(folder / "nbest_predictions.json", nbest)
    if any(each.null_odds is not None for each in found):
        _write(folder / "null_odds.json", {each.id: each.null_odds for each in found})
        _write(folder / "na_probs.json", {each.id: each.na_prob for each in found})
    log.info("%d answers in %s", len(found), folder / PREDICTIONS)


def write_file(path: str | Path, questions: Sequence[Question], found: Sequence[Answer]) -> None:
    """Write answers in the form that the suffix names.

    Args:
        path: ``.json``: {id: answer}, as SQuAD's scripts take it; ``.jsonl``: for every question
            a line with all that is known.
        questions: what was asked.
        found: an answer to each.

    Raises:
        UsageError: another suffix.
    """
    suffix = Path(path).suffix
    if suffix == ".json":
        _write(Path(path), {each.id: each.text for each in found})
    elif suffix == ".jsonl":
        rows = [_row(asked, each) for asked, each in zip(questions, found, strict=True)]
        files.write_text(path, tables.table(rows, ".jsonl") if rows else "")
    else:
        raise UsageError(f"{path}: a name ending in .json or .jsonl is expected.")
    log.info("%d answers in %s", len(found), path)


def table(questions: Sequence[Question], found: Sequence[Answer], n_best: int | None = None) -> str:
    """Answers as tab-separated text with a header.

    Args:
        questions: what was asked.
        found: an answer to each.
        n_best: show so many candidates of each, in place of the answer.
    """
    rows = []
    for asked, answer in zip(questions, found, strict=True):
        shown: Sequence[Span | Answer] = [answer] if n_best is None else answer.nbest[:n_best]
        for each in shown or [answer]:
            rows.append(
                {
                    "question": asked.question,
                    "answer": each.text,
                    "probability": each.probability,
                    "start": each.start,
                    "end": each.end,
                }
            )
    return tables.table(rows, ".tsv") if rows else ""


def _row(asked: Question, found: Answer) -> dict[str, Any]:
    row = {
        "id": asked.id, "question": asked.question, "answer": found.text, "start": found.start,
        "end": found.end, "probability": found.probability,
    }  # fmt: skip
    if found.null_odds is not None:
        row |= {"null_odds": found.null_odds, "na_prob": found.na_prob}
    return {**row, "nbest": [_listed(span) for span in found.nbest]}


def _listed(span: Span) -> dict[str, Any]:
    return {
        "text": span.text,
        "probability": span.probability,
        "start_logit": span.start_logit,
        "end_logit": span.end_logit,
        "start": span.start,
        "end": span.end,
    }


def _write(path: Path, values: dict[str, Any]) -> None:
    try:
        files.write_json(path, values)
    except UnicodeEncodeError:  # lone surrogates: escaped, they come back as they were
        files.write_text(path, json.dumps(values, indent=2) + "\n")
