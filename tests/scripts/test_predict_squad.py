"""``scripts/bert/predict_squad.py`` run in this process."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import plainbert
from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.recipes import predict_squad
from plainbert.tasks.squad import scores as metrics
from plainbert.tasks.squad.files import read
from tests.helpers import folders, questions
from tests.helpers.processes import Command, environment

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/bert/predict_squad.py"
CONTEXT = "the cat b c. " * 30  # many windows
Main = Callable[[list[str]], dict[str, Any]]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], dict[str, Any]]:
    return predict_squad.main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("m")
    about: dict[str, Any] = {"max_length": 24, "doc_stride": 6, "max_query_length": 8}
    checkpoint.write(
        path / "one", folders.tiny("question_answering"), folders.tokenizer(), about=about
    )
    about = {**about, "version_2": True, "null_score_diff_threshold": -0.5}
    checkpoint.write(
        path / "two", folders.tiny("question_answering"), folders.tokenizer(), about=about
    )
    questions.write(path / "some.json", 5, 1)
    return path


def slow(model: Any, question: str, context: str) -> list[tuple[float, int, int]]:
    """Every allowed span of every window, by its best score: (score, start, end), best first."""
    tokenizer = folders.tokenizer()
    vocab = tokenizer.vocab
    asked, pieces = tokenizer.ids(question)[:8], tokenizer.pieces(context)
    room = 24 - 3 - len(asked)
    starts = [0]
    while starts[-1] + room < len(pieces):
        starts.append(starts[-1] + min(6, room))
    logits, spans = [], []
    for start in starts:
        part = pieces.ids[start : start + room]
        ids = [vocab.cls_id, *asked, vocab.sep_id, *part, vocab.sep_id]
        types = [0] * (len(asked) + 2) + [1] * (len(part) + 1)
        with torch.no_grad():
            logits.append(model(torch.tensor([ids]), torch.tensor([types]))[0].double())
        spans.append((start, len(part)))
    found: dict[tuple[int, int], float] = {}
    for number, (start, size) in enumerate(spans):
        for first in range(start, start + size):
            around = [
                min(first - other, other + length - 1 - first) + 0.01 * length
                if other <= first < other + length
                else -1
                for other, length in spans
            ]
            if around.index(max(around)) != number:
                continue
            for last in range(first, min(first + 30, start + size)):
                shift = len(asked) + 2 - start
                score = float(logits[number][first + shift, 0] + logits[number][last + shift, 1])
                found[pieces.start[first], pieces.end[last]] = score
    return sorted(((score, *span) for span, score in found.items()), reverse=True)


def test_a_question_about_a_long_text(
    main: Main, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = main(
        ["--model_dir", str(folder / "one"), "--question", "the a", "b", "--context", CONTEXT]
    )["answers"]

    torch.manual_seed(4)
    model = folders.tiny("question_answering")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter="\t"))
    for answer, row, question in zip(found, rows, ("the a", "b"), strict=True):
        score, start, end = slow(model, question, CONTEXT)[0]
        assert answer.text == CONTEXT[answer.start : answer.end] == row["answer"]
        assert answer.best.score == pytest.approx(score, abs=1e-4)
        assert (CONTEXT[start:end], row["question"]) == (answer.text, question)
        assert (int(row["start"]), int(row["end"])) == (answer.start, answer.end)
        assert float(row["probability"]) == pytest.approx(answer.probability, abs=1e-5)


def test_the_best_n_are_shown(main: Main, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--question", "b", "--context", CONTEXT, "--n_best_size", "3"]
    main(["--model_dir", str(folder / "one"), *words])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter="\t"))

    assert len(rows) == 3
    assert len({row["answer"] for row in rows}) == 3
    shares = [float(row["probability"]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) < 1  # among all that could be answers
    main(["--model_dir", str(folder / "one"), *words[:-1], "9"])
    more = list(csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter="\t"))
    assert [row["probability"] for row in more[:1]] == [rows[0]["probability"]]


def test_a_file_and_every_form(
    main: Main, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, asked = folder / "some.json", read(folder / "some.json").questions
    common = ["--model_dir", str(folder / "two"), "--file", str(file)]
    result = main([*common, "--output", str(tmp_path / "a.json")])
    said = json.loads((tmp_path / "a.json").read_text())
    assert list(said) == [each.id for each in asked]
    main([*common, "--output", str(tmp_path / "a.jsonl")])
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {line["id"]: line["answer"] for line in lines} == said
    for line, each in zip(lines, asked, strict=True):
        assert line["question"] == each.question
        assert line["answer"] == each.context[line["start"] : line["end"]]
        assert (line["answer"] == "") == (line["null_odds"] > -0.5)
        assert len(line["nbest"]) >= 2
    main([*common, "--output_dir", str(tmp_path / "dir")])
    names = ("predictions", "nbest_predictions", "null_odds", "na_probs")
    files = [json.loads((tmp_path / f"dir/{name}.json").read_text()) for name in names]
    assert files[0] == said
    assert files[2] == {line["id"]: line["null_odds"] for line in lines}
    gold = {each.id: [answer.text for answer in each.answers] for each in asked}
    official = metrics.squad_v2(gold, said)
    assert {key: result["scores"][key] for key in official} == official
    assert f"f1 {official['f1']:.4f}" in capsys.readouterr().out


def test_the_threshold_of_the_folder_and_one_that_is_typed(main: Main, folder: Path) -> None:
    words = ["--file", str(folder / "some.json"), "--null_score_diff_threshold"]
    for name in ("one", "two"):
        common = ["--model_dir", str(folder / name), *words]
        assert all(each.text == "" for each in main([*common, "-1000"])["answers"])
        assert all(each.text for each in main([*common, "1000"])["answers"])
    plain = main(["--model_dir", str(folder / "one"), *words[:2]])["answers"]
    assert all(each.null_odds is None for each in plain)
    null = main(["--model_dir", str(folder / "one"), *words[:2], "--version_2"])["answers"]
    assert all((each.text == "") == (each.null_odds > 0) for each in null)


def test_standard_input_and_files_of_text(
    main: Main, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    model = ["--model_dir", str(folder / "one")]
    typed((folder / "some.json").read_bytes())
    assert len(main([*model, "--file", "-"])["answers"]) == 10
    (tmp_path / "text.txt").write_text("the cat\nb c\n")
    right = main([*model, "--question", "a", "--context", "the cat\nb c"])["answers"]
    words = [*model, "--question", "a", "--context_file"]
    assert main([*words, str(tmp_path / "text.txt")])["answers"] == right
    typed(b"the cat\nb c")
    assert main([*words, "-"])["answers"] == right


def test_two_processes(main: Main, folder: Path, tmp_path: Path) -> None:
    words = ["--model_dir", str(folder / "two"), "--file", str(folder / "some.json"), "--output"]
    main([*words, str(tmp_path / "one.json")])
    line = [sys.executable, str(SCRIPT), *words, str(tmp_path / "two.json")]
    done = Command([*line, "--num_local_ranks", "2"], environment()).wait(120)
    assert done.status == 0, done.text
    assert (tmp_path / "one.json").read_text() == (tmp_path / "two.json").read_text()


def test_from_python(folder: Path) -> None:
    model = plainbert.load(folder / "one")
    one = model.answer("b", CONTEXT)
    several = model.answer(["b", "the a"], CONTEXT, n_best=4)
    apart = model.answer(["b", "the a"], [CONTEXT, "c cat"], max_answer_length=1)

    assert one.text == CONTEXT[one.start : one.end] == several[0].text
    assert [len(each.nbest) for each in several] == [4, 4]
    assert apart[1].text in "c cat"
    assert model.answer([], "a") == []
    with pytest.raises(UsageError, match="Did you mean 'n_best'"):
        model.answer("b", "c", nbest=3)
    with pytest.raises(UsageError, match="2 contexts for 1 questions"):
        model.answer(["b"], ["c", "d"])


def test_a_model_without_answers(main: Main, tmp_path: Path) -> None:
    folder = checkpoint.write(tmp_path / "c", folders.tiny("classification"), folders.tokenizer())
    with pytest.raises(UsageError, match=r"classification head.*finetune_squad"):
        main(["--model_dir", str(folder), "--question", "a", "--context", "b"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--question", "a", "--context", "b"], "missing: --model_dir"),
        (["--model_dir", "m"], "nothing is asked"),
        (["--model_dir", "m", "--question", "a"], "--question needs --context or --context_file"),
        (["--model_dir", "m", "--file", "a", "--context", "b"], "--context needs --question"),
        (["--model_dir", "m", "--file", "a", "--question", "b"], "exclude each other"),
        (["--model_dir", "m", "--file", "a", "--output", "x.txt"], "ending in .json or .jsonl"),
        (
            ["--model_dir", "m", "--file", "a", "--output", "x.json", "--output_dir", "d"],
            "exclude each other",
        ),
        (
            ["--model_dir", "m", "--file", "a", "--max_len", "20", "--max_query_length", "17"],
            "no room",
        ),
    ],
)
def test_wrong_flags(
    main: Main, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(flags)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_answers_as_a_table(main: Main, folder: Path, tmp_path: Path, suffix: str) -> None:
    source, output = folder / "some.json", tmp_path / f"out{suffix}"
    found = main(["--model_dir", str(folder / "one"), "--file", str(source), "--output",
                  str(output)])  # fmt: skip
    asked = read(source).questions
    with output.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="," if suffix == ".csv" else "\t"))
    assert [(row["id"], row["question"], row["answer"]) for row in table] == [
        (question.id, question.question, answer.text)
        for question, answer in zip(asked, found["answers"], strict=True)
    ]
    assert [row["row"] for row in table] == [str(row) for row in range(len(asked))]
    assert [row["gold"] for row in table] == [
        question.answers[0].text if question.answers else "" for question in asked
    ]
    assert any(row["gold"] for row in table)
