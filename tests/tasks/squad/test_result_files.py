"""Answers as files and as a table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.errors import UsageError
from plainbert.tasks.squad import evaluate, result_files
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Answer, Search, Span
from plainbert.tasks.squad.files import read
from tests.helpers.evaluate_squad import evaluate as official

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
        "probability": pytest.approx(1 / (1 + math.e)),  # among the two, as the official script
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


@given(
    odds=st.lists(st.integers(-800, 800).map(lambda number: number / 32), min_size=1, max_size=12),
    threshold=st.floats(-5, 5),
    random=st.randoms(use_true_random=False),
)
def test_the_official_script_over_the_files(
    tmp_path_factory: pytest.TempPathFactory, odds: list[float], threshold: float, random: Random
) -> None:
    """Without -n it gives our scores, with -n over the raw answers our best ones too."""
    folder = tmp_path_factory.mktemp("squad")
    texts = ["cat", "the black cat", "a dog", "--", "the"]
    qas: list[dict[str, Any]] = []
    answers = []
    for number, value in enumerate(odds):
        gold = random.choice([[], ["cat"], ["black cat", "the cat"], ["dog"]])
        qas.append(
            {"id": str(number), "question": "q",
             "answers": [{"text": text, "answer_start": 0} for text in gold]}
        )  # fmt: skip
        best = None if value > 20 else Span(random.choice(texts), 0, 1, 0.5, 1.0, 1.0)
        chosen = "" if value > threshold or best is None else best.text
        answers.append(
            Answer(str(number), chosen, 0, 1, 0.5, (), best, value, 1 / (1 + math.exp(-value)))
        )
    data = folder / "dev.json"
    paragraph = {"context": "the black cat, a dog -- the", "qas": qas}
    data.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))
    result_files.write_folder(folder, answers)
    ours = evaluate.score(read(data), answers, Search(null=True, null_threshold=threshold), "words")
    plain = official(data, folder / "predictions.json")
    assert plain == {name: ours[name] for name in plain}
    best = official(data, folder / "raw_predictions.json", folder / "na_probs.json")
    for name in ("best_exact", "best_f1"):
        assert best[name] == pytest.approx(ours[name], abs=1e-9)


def test_what_has_passed_a_threshold_has_another_best_score(tmp_path: Path) -> None:
    """Why there are two files."""
    qas = [{"id": "x", "question": "q", "answers": [{"text": "cat", "answer_start": 0}]}]
    data = {"data": [{"title": "t", "paragraphs": [{"context": "cat", "qas": qas}]}]}
    (tmp_path / "dev.json").write_text(json.dumps(data))
    result_files.write_folder(
        tmp_path, [Answer("x", "", 0, 0, 0.5, (), Span("cat", 0, 3, 0.5, 1.0, 1.0), 1.0, 0.73)]
    )
    place = [tmp_path / f"{name}.json" for name in ("dev", "predictions", "na_probs")]
    assert official(*place)["best_f1"] == 0
    assert official(place[0], tmp_path / "raw_predictions.json", place[2])["best_f1"] == 100


def test_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.json, \.jsonl, \.csv or \.tsv"):
        result_files.write_file(tmp_path / "a.txt", QUESTIONS, FOUND)
