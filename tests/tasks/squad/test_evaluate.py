"""Scores of answers, which of them choose, and the threshold that is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from plainbert import checkpoint
from plainbert.nn.headed import Headed
from plainbert.tasks.squad import data
from plainbert.tasks.squad import scores as metrics
from plainbert.tasks.squad.data import NOWHERE, Question, Squad
from plainbert.tasks.squad.decode import Answer, Search, Span
from plainbert.tasks.squad.evaluate import (
    SquadEvaluation,
    SquadSplit,
    evaluate_splits,
    gold_of,
    predict,
    score,
    scoring_of,
    store_threshold,
)
from plainbert.tasks.squad.windows import Limits, prepare
from tests.helpers import folders


def said(name: str, text: str, odds: float | None = None) -> Answer:
    span = Span(text, 0, len(text), 1.0, 0.0, 0.0)
    return Answer(name, text, 0, len(text), 1.0, (span,), span, odds)


def asked(name: str, *right: str, impossible: bool = False) -> Question:
    answers = tuple(data.GoldAnswer(text, NOWHERE) for text in right)
    return Question(name, "?", "the cat sat", answers, impossible)


SET = Squad([asked("x", "cat"), asked("y", impossible=True), asked("z", impossible=True),
             asked("hidden")])  # fmt: skip


def test_version_1_scores_what_has_an_answer() -> None:
    found = [said(name, "cat") for name in ("x", "y", "z", "hidden")]

    assert gold_of(SET, null=False) == {"x": ["cat"]}
    assert score(SET, found, Search(), metrics.WORDS) == {"exact_match": 100, "f1": 100}
    assert score(Squad(SET.questions[3:]), found[3:], Search(), metrics.WORDS) == {}


def test_version_2_with_thresholds_of_differences() -> None:
    found = [said("x", "cat", -1.0), said("y", "sat", -3.0), said("z", "sat", 2.0),
             said("hidden", "cat", 9.0)]  # fmt: skip

    assert gold_of(SET, null=True) == {"x": ["cat"], "y": [], "z": []}
    scores = score(SET, found, Search(null=True), metrics.WORDS)
    assert scores["total"] == 3
    assert scores["exact"] == pytest.approx(200 / 3)  # y is answered, z is not
    # Nothing better than never to answer: the threshold lies below every difference.
    assert scores["best_f1"] == pytest.approx(200 / 3)
    assert scores["best_f1_thresh"] == -4.0
    lower = score(SET, found, Search(null=True, null_threshold=-4.0), metrics.WORDS)
    assert lower["f1"] == scores["best_f1"]
    # Right answers below every wrong one: the threshold is that of the last right one.
    found[1] = said("y", "sat", 1.0)
    scores = score(SET, found, Search(null=True), metrics.WORDS)
    assert (scores["best_f1"], scores["best_f1_thresh"]) == (100, -1.0)


def test_the_scoring_is_chosen_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    chinese = Squad([asked("x", "光荣公司")], name="some.json")
    with caplog.at_level("DEBUG", "plainbert"):
        assert scoring_of(chinese) == metrics.CHARACTERS
        assert scoring_of(chinese, metrics.WORDS) == metrics.WORDS
        assert scoring_of(Squad([asked("x")])) == metrics.WORDS

    assert [record.message for record in caplog.records] == [
        "some.json: the scores are CMRC 2018's, by characters",
        "some.json: the scores are SQuAD's, by words",
    ]
    found = [said("x", "光荣")]
    assert score(chinese, found, Search(), metrics.CHARACTERS)["f1"] == pytest.approx(200 / 3)
    assert score(chinese, found, Search(), metrics.WORDS)["f1"] == 0


def made(impossible: bool) -> tuple[Headed, dict[str, SquadSplit]]:
    torch.manual_seed(3)
    model = folders.tiny("question_answering")
    assert isinstance(model, Headed)
    sets = {}
    for split, count in (("dev", 6), ("predict", 4)):
        questions = [
            Question(
                f"{split}{row}",
                "a",
                "b c cat " * (row + 2),
                () if impossible and row % 2 else (data.GoldAnswer("cat", 4),),
                impossible and row % 2 == 1,
            )
            for row in range(count)
        ]
        windows = prepare(folders.tokenizer(), questions, Limits(16, 4, 4))
        sets[split] = SquadSplit.of(Squad(questions), windows)
    return model, sets


@pytest.mark.parametrize("null", [False, True])
def test_the_loop_gets_the_scores_of_evaluate_splits(tmp_path: Path, null: bool) -> None:
    model, sets = made(impossible=null)
    search = Search(null=null)
    evaluation = SquadEvaluation(sets, search, torch.float32)

    found = evaluation(model)
    assert evaluate_splits(model, sets, search, torch.float32, tmp_path) == found
    assert json.loads((tmp_path / "eval_results.json").read_text()) == found
    assert all(evaluation.chooses in scores for scores in found.values())
    assert evaluation.better == 1
    last = predict(model, sets["predict"], search, torch.float32)
    written = json.loads((tmp_path / "predictions.json").read_text())
    assert written == {each.id: each.text for each in last}


def test_the_first_sets_threshold_for_the_last(tmp_path: Path) -> None:
    model, sets = made(impossible=True)
    plain = evaluate_splits(model, sets, Search(null=True), torch.float32, tmp_path)
    tuned = evaluate_splits(model, sets, Search(null=True), torch.float32, tmp_path, tune=True)

    assert tuned["dev"] == plain["dev"]
    search = Search(null=True, null_threshold=plain["dev"]["best_f1_thresh"])
    right = predict(model, sets["predict"], search, torch.float32)
    assert tuned["predict"] == score(sets["predict"].squad, right, search, metrics.WORDS)


def test_the_threshold_is_kept_with_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "step-1"
    checkpoint.write(
        folder, folders.tiny("question_answering"), folders.tokenizer(), about={"task": "squad"}
    )
    (tmp_path / "best").symlink_to("step-1")
    store_threshold(tmp_path / "best", -1.25)

    about = checkpoint.read(tmp_path / "best").about
    assert (about["task"], about["null_score_diff_threshold"]) == ("squad", -1.25)
