"""Answers as files and as a table."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.containers import tables
from plainbert.errors import UsageError
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Answer, Span
from plainbert.visible import near

log = logging.getLogger(__name__)

PREDICTIONS = "predictions.json"
RAW_PREDICTIONS = "raw_predictions.json"


def write_folder(folder: Path, answers: Sequence[Answer]) -> None:
    """Write what was answered: ``predictions.json`` and ``nbest_predictions.json``.

    In the latter the probabilities are those of the official scripts: among the candidates listed.
    Where "no answer" is possible, also ``null_odds.json`` (score of no answer minus that of the
    best answer), ``na_probs.json`` (its probability) and ``raw_predictions.json`` (the best answer
    whatever the threshold). The official script gives our scores for ``predictions.json`` alone,
    and our best scores for ``raw_predictions.json -n na_probs.json``: it looks for the best
    threshold, and needs answers that have not passed one.
    """
    values: dict[str, dict[str, Any]] = {
        PREDICTIONS: {answer.id: answer.text for answer in answers},
        "nbest_predictions.json": {answer.id: _official(answer.nbest) for answer in answers},
    }
    if any(answer.null_odds is not None for answer in answers):
        values |= {
            "null_odds.json": {answer.id: answer.null_odds for answer in answers},
            "na_probs.json": {answer.id: answer.na_prob for answer in answers},
            RAW_PREDICTIONS: {
                answer.id: answer.best.text if answer.best else "" for answer in answers
            },
        }
    for name, content in values.items():
        files.write_json(folder / name, content)
    log.info("predictions: %s", near(folder / PREDICTIONS))


def write_file(path: str | Path, questions: Sequence[Question], answers: Sequence[Answer]) -> None:
    """Write answers in the form that the suffix names.

    Args:
        path: ``.json``: {id: answer}, as SQuAD's scripts take it; ``.jsonl``: for every question
            a line with all that is known; ``.csv`` and ``.tsv``: a row with its number, the
            answer, and the first right answer where the file has some.
        questions: what was asked.
        answers: an answer to each question, in order.

    Raises:
        UsageError: another suffix.
    """
    suffix = Path(path).suffix
    if suffix == ".json":
        files.write_json(Path(path), {answer.id: answer.text for answer in answers})
    elif suffix == ".jsonl":
        pairs = zip(questions, answers, strict=True)
        rows = [_row(question, answer) for question, answer in pairs]
        files.write_text(path, tables.table(rows, ".jsonl") if rows else "")
    elif suffix in (".csv", ".tsv"):
        files.write_text(path, tables.table(_rows(questions, answers), suffix))
    else:
        raise UsageError(f"{path}: a name ending in .json, .jsonl, .csv or .tsv is expected.")
    log.info("predictions of %d rows: %s", len(answers), near(path))


def table(
    questions: Sequence[Question], answers: Sequence[Answer], n_best: int | None = None
) -> str:
    """Answers as tab-separated text with a header.

    Args:
        questions: what was asked.
        answers: an answer to each question, in order.
        n_best: show so many candidates of each, in place of the answer.
    """
    rows = []
    for question, answer in zip(questions, answers, strict=True):
        lines: Sequence[Span | Answer] = [answer] if n_best is None else answer.nbest[:n_best]
        for line in lines or [answer]:
            rows.append(
                {
                    "question": question.question,
                    "answer": line.text,
                    "probability": line.probability,
                    "start": line.start,
                    "end": line.end,
                }
            )
    return tables.table(rows, ".tsv") if rows else ""


def _rows(questions: Sequence[Question], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """A row for every question."""
    has_gold = any(question.answers for question in questions)
    rows = []
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        row = {"row": number, "id": question.id, "question": question.question}
        row |= {"answer": answer.text, "probability": answer.probability}
        row |= {"start": answer.start, "end": answer.end}
        if has_gold:
            row["gold"] = question.answers[0].text if question.answers else ""
        rows.append(row)
    return rows


def _row(question: Question, answer: Answer) -> dict[str, Any]:
    row = {
        "id": question.id,
        "question": question.question,
        "answer": answer.text,
        "start": answer.start,
        "end": answer.end,
        "probability": answer.probability,
    }
    if answer.null_odds is not None:
        row |= {"null_odds": answer.null_odds, "na_prob": answer.na_prob}
    return {**row, "nbest": [_listed(span) for span in answer.nbest]}


def _official(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Candidates, best first, with their probabilities among each other.

    Source:
        google-research/bert, run_squad.py, ``_compute_softmax`` in ``write_predictions``.
    """
    powers = [math.exp(span.score - spans[0].score) for span in spans]
    shares = [power / sum(powers) for power in powers]
    return [
        {**_listed(span), "probability": share} for span, share in zip(spans, shares, strict=True)
    ]


def _listed(span: Span) -> dict[str, Any]:
    return {
        "text": span.text,
        "probability": span.probability,
        "start_logit": span.start_logit,
        "end_logit": span.end_logit,
        "start": span.start,
        "end": span.end,
    }
