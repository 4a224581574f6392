"""Answers as files and as a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plainbert.errors import UsageError
from plainbert.tasks.squad import result_files
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Answer, Span

CAT = Span("cat", 4, 7, 0.75, 2.0, 1.5)
DOG = Span("the cat", 0, 7, 0.25, 1.0, 1.5)
QUESTIONS = [Question("x", "who\tsat?", "the cat sat"), Question("y", "wo? \ud83d", "")]
FOUND = [
    Answer("x", "cat", 4, 7, 0.75, (CAT, DOG), CAT),
    Answer("y", "", 0, 0, 0.0, (), None),
]


def test_the_files_of_version_1(tmp_path: Path) -> None:
    result_files.write_folder(tmp_path, FOUND)

    assert {path.name for path in tmp_path.iterdir()} == {
        "predictions.json",
        "nbest_predictions.json",
    }
    assert json.loads((tmp_path / "predictions.json").read_text()) == {"x": "cat", "y": ""}
    nbest = json.loads((tmp_path / "nbest_predictions.json").read_text())
    assert nbest["y"] == []
    assert nbest["x"][1] == {
        "text": "the cat",
        "probability": 0.25,
        "start_logit": 1.0,
        "end_logit": 1.5,
        "start": 0,
        "end": 7,
    }


def test_lines_with_everything_and_half_characters(tmp_path: Path) -> None:
    result_files.write_file(tmp_path / "a.jsonl", QUESTIONS, FOUND)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]

    assert [line["question"] for line in lines] == [each.question for each in QUESTIONS]
    assert [len(line["nbest"]) for line in lines] == [2, 0]
    assert "null_odds" not in lines[0]
    odd = [Answer("z\ud83d", "\ud83d", 0, 1, 1.0, (), None)]
    result_files.write_file(tmp_path / "b.json", QUESTIONS[:1], odd)
    assert json.loads((tmp_path / "b.json").read_text()) == {"z\ud83d": "\ud83d"}


def test_tables() -> None:
    assert result_files.table(QUESTIONS[:1], FOUND[:1]).splitlines() == [
        "question\tanswer\tprobability\tstart\tend",
        "who sat?\tcat\t0.75\t4\t7",
    ]
    rows = result_files.table(QUESTIONS[:1], FOUND[:1], n_best=2).splitlines()
    assert [row.split("\t")[1] for row in rows[1:]] == ["cat", "the cat"]
    assert len(result_files.table(QUESTIONS[1:], FOUND[1:], n_best=2).splitlines()) == 2
    assert result_files.table([], []) == ""


def test_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.json or \.jsonl"):
        result_files.write_file(tmp_path / "a.tsv", QUESTIONS, FOUND)
