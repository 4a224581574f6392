"""``scripts/bert/evaluate.py`` run in this process, against scikit-learn, scipy and seqeval."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import seqeval.metrics
import sklearn.metrics
import torch

from plainbert import checkpoint, evaluation
from plainbert.errors import DataError, UsageError
from plainbert.model import load
from plainbert.recipes import evaluate, finetune_classifier, predict_squad
from tests.helpers import folders, questions

TEXTS = ["the cat", "cat b", "a b c", "the", "b a", "c c the", "a", "cat cat a", "b", "the b"]
GOLD = ["red", "green", "blue", "red", "red", "green", "blue", "blue", "red", "green"]
NUMBERS = [0.5, 1.25, -3, 2, 0, 1, 7, -0.5, 4, 2.5]
TAGS = ("O", "B-PER", "I-PER", "B-LOC")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("m")
    kinds: dict[str, dict[str, Any]] = {
        "classification": {},
        "regression": {},
        "question_answering": {},
        "token_classification": {"id2label": TAGS},
    }
    for head, changes in kinds.items():
        checkpoint.write(path / head, folders.tiny(head, **changes), folders.tokenizer())
    problem = "multi_label_classification"
    model = folders.tiny("classification", problem_type=problem)
    checkpoint.write(path / "several", model, folders.tokenizer())
    checkpoint.write(path / "embedding", folders.tiny("embedding"), folders.tokenizer())
    return path


def table(path: Path, labels: list[Any], texts: list[str] = TEXTS) -> Path:
    with path.open("w", newline="") as file:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        csv.writer(file, delimiter=delimiter).writerows(
            [("text", "label"), *zip(texts, labels, strict=True)]
        )
    return path


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_a_classifier(
    models: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(models / "classification")
    path = table(tmp_path / f"test{suffix}", GOLD)
    out = tmp_path / "scores.json"
    got = evaluate.main(["--model_dir", folder, "--file", str(path), "--output", str(out)])

    predicted = [prediction.label for prediction in load(folder).predict(TEXTS)]
    right = {
        "accuracy": sklearn.metrics.accuracy_score(GOLD, predicted),
        "macro_f1": sklearn.metrics.f1_score(GOLD, predicted, average="macro"),
        "micro_f1": sklearn.metrics.f1_score(GOLD, predicted, average="micro"),
    }
    assert got["scores"] == pytest.approx(right, abs=1e-12)
    assert got["rows"] == 10
    matrix = sklearn.metrics.confusion_matrix(GOLD, predicted, labels=folders.LABELS)
    assert [[got["confusion"].get(a, {}).get(b, 0) for b in folders.LABELS]
            for a in folders.LABELS] == matrix.tolist()  # fmt: skip
    columns = sklearn.metrics.precision_recall_fscore_support(
        GOLD, predicted, labels=folders.LABELS, zero_division=0
    )
    assert list(got["by_label"]) == list(folders.LABELS)
    for row, values in enumerate(got["by_label"].values()):
        assert list(values.values()) == pytest.approx([float(part[row]) for part in columns])
    assert json.loads(out.read_text())["scores"] == got["scores"]
    printed = capsys.readouterr().out
    assert printed.startswith(f"test (10 rows): accuracy {right['accuracy']:.4f}, macro_f1 ")
    cells = [line.split() for line in printed.splitlines()[-3:]]
    assert [[int(cell) for cell in line[1:]] for line in cells] == matrix.tolist()


def test_as_the_training_script_scores(models: Path, tmp_path: Path) -> None:
    path, folder = table(tmp_path / "dev.tsv", GOLD), str(models / "classification")
    trained = finetune_classifier.main(
        ["--model_dir", folder, "--only_inference", "--dev_file", str(path), "--output_dir",
         str(tmp_path / "run")]
    )  # fmt: skip
    out = tmp_path / "out"
    evaluate.main(["--model_dir", folder, "--file", str(path), "--output_dir", str(out)])
    scores = json.loads((out / "eval_results.json").read_text())
    assert list(scores) == ["dev"]
    for name in ("accuracy", "macro_f1"):
        assert scores["dev"][name] == trained["dev"][name]
    assert list(json.loads((out / "report.json").read_text())["dev"]) == list(folders.LABELS)
    with pytest.raises(UsageError, match=r"eval_results\.json exists\. Add --overwrite"):
        evaluate.main(["--model_dir", folder, "--file", str(path), "--output_dir", str(out)])


def test_quantities(models: Path, tmp_path: Path) -> None:
    folder, path = str(models / "regression"), table(tmp_path / "a.csv", NUMBERS)
    got = evaluate.main(["--model_dir", folder, "--file", str(path)])
    predicted = np.array([float(prediction.label) for prediction in load(folder).predict(TEXTS)])
    assert got["scores"] == pytest.approx(
        {
            "pearson": scipy.stats.pearsonr(predicted, NUMBERS)[0],
            "spearman": scipy.stats.spearmanr(predicted, NUMBERS)[0],
            "mse": ((predicted - np.array(NUMBERS)) ** 2).mean(),
        },
        rel=1e-6,
    )
    assert got["by_label"] == got["confusion"] == {}


def test_several_labels(models: Path, tmp_path: Path) -> None:
    folder = str(models / "several")
    gold = ["red", "", "blue,red", "green", "red|green", "", "blue", "red", "green;blue", "red"]
    got = evaluate.main(["--model_dir", folder, "--file", str(table(tmp_path / "a.tsv", gold))])
    sets = [{*part.replace("|", ",").replace(";", ",").split(",")} for part in gold]
    right = np.array([[label in one for label in folders.LABELS] for one in sets])
    predicted = np.array(
        [[share >= 0.5 for share in prediction.probabilities.values()]
         for prediction in load(folder).predict(TEXTS)]
    )  # fmt: skip
    assert got["scores"] == pytest.approx(
        {
            "micro_f1": sklearn.metrics.f1_score(right, predicted, average="micro"),
            "macro_f1": sklearn.metrics.f1_score(right, predicted, average="macro"),
            "accuracy": sklearn.metrics.accuracy_score(right, predicted),
        }
    )
    assert [row["support"] for row in got["by_label"].values()] == right.sum(0).tolist()


def test_entities(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, path = str(models / "token_classification"), tmp_path / "test.conll"
    words = [("the", "cat", "b"), ("a", "cat"), ("c", "the", "a", "b")]
    gold = [["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["B-LOC", "O", "B-PER", "B-PER"]]
    path.write_text(
        "\n".join(
            "".join(f"{word} {tag}\n" for word, tag in zip(*row, strict=True))
            for row in zip(words, gold, strict=True)
        )
    )
    got = evaluate.main(["--model_dir", folder, "--file", str(path)])
    predicted = [tagging.tags for tagging in load(folder).tag(list(words))]
    assert got["scores"]["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted))
    assert got["scores"]["accuracy"] == seqeval.metrics.accuracy_score(gold, predicted)
    assert got["by_label"]["PER"]["support"] == 3
    assert "test (3 rows): f1 " in capsys.readouterr().out


def test_answers(models: Path, tmp_path: Path) -> None:
    folder, path = str(models / "question_answering"), tmp_path / "dev.json"
    questions.write(path, 5, 1)
    got = evaluate.main(["--model_dir", folder, "--file", str(path)])
    right = predict_squad.main(
        ["--model_dir", folder, "--file", str(path), "--output", str(tmp_path / "a.json")]
    )
    assert got["scores"] == right["scores"]
    assert got["rows"] > 0


@pytest.mark.parametrize(
    ("head", "content", "message"),
    [
        ("classification", "text\tlabel\na\tred\nb\tRosa\nc\tpink\na\tRosa\n",
         r"a\.tsv.*3 of 4 rows .* know: 'Rosa' \(2\), 'pink' \(1\); first in line 3"),
        ("regression", "text\tlabel\na\t1.5\nb\tmuch\n", r"'much' \(1\).*It knows: numbers"),
        ("several", "text\tlabel\na\tred,pink\n", r"'red,pink' \(1\)"),
        ("token_classification", "a\tO\ncat\tB-ORG\n", r"a\.tsv.*B-ORG \(1 words\).*B-PER"),
        ("question_answering", '{"data": [{"paragraphs": [{"context": "a b", "qas": '
         '[{"id": "x", "question": "a"}]}]}]}', "no question has a right answer"),
        ("classification", "text\tlabel\na\t\n", "the label is empty"),
        ("several", "text\tlabels\na\tred\n", "has no column 'label'"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored(
    models: Path, tmp_path: Path, head: str, content: str, message: str
) -> None:
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(DataError, match=message):
        evaluate.main(["--model_dir", str(models / head), "--file", str(tmp_path / "a.tsv")])


def test_a_model_without_a_head_is_refused(models: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "a.tsv", GOLD)
    with pytest.raises(UsageError, match="has no head: a classifier, a regressor, a tagger"):
        evaluate.main(["--model_dir", str(models / "embedding"), "--file", str(path)])


def test_from_python(models: Path) -> None:
    model = load(models / "classification")
    pairs = [("the cat", "a"), ("b", "c")]
    got = evaluation.evaluate(model, pairs, ["red", "blue"])
    predicted = [prediction.label for prediction in model.predict(pairs)]
    assert got.scores["accuracy"] == sklearn.metrics.accuracy_score(["red", "blue"], predicted)
    with pytest.raises(DataError, match="1 labels for 2 rows"):
        evaluation.evaluate(model, pairs, ["red"])
    with pytest.raises(DataError, match="first in row 2"):
        evaluation.evaluate(model, pairs, ["red", "pink"])
