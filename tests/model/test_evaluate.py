"""Scores of a model on rows that a caller holds, and on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

import plainbert
from plainbert import checkpoint
from plainbert.errors import DataError, UsageError
from plainbert.model import Model
from tests.helpers import folders

TEXTS = ["the cat", "a b c", "b", "c the a", "", "cat cat a", "b b", "a"]
LABELS = ["red", "green", "blue", "red", "red", "green", "blue", "blue"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models")
    changes = {"token_classification": {"id2label": ("O", "B-PER", "I-PER")}}
    heads = ("embedding", "classification", "regression", "token_classification",
             "question_answering")  # fmt: skip
    return {
        head: plainbert.load(
            checkpoint.write(
                place / head, folders.tiny(head, **changes.get(head, {})), folders.tokenizer()
            )
        )
        for head in heads
    }


def test_a_classifier(models: dict[str, Model], tmp_path: Path) -> None:
    model = models["classification"]
    predicted = [one.label for one in model.predict(TEXTS)]
    rows = list(zip(TEXTS, LABELS, strict=True))
    scores = model.evaluate(rows)
    assert scores["accuracy"] == pytest.approx(accuracy_score(LABELS, predicted))
    macro = f1_score(LABELS, predicted, average="macro", zero_division=0)
    assert scores["macro_f1"] == pytest.approx(macro)
    assert scores["rows"] == 8
    assert {name: row["support"] for name, row in scores["by_label"].items()} == {
        "red": 3, "green": 2, "blue": 3,
    }  # fmt: skip
    table = pandas.DataFrame({"t": TEXTS, "gold": LABELS})
    table.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "rows.jsonl").write_text(table.to_json(orient="records", lines=True))
    for data in (table, tmp_path / "rows.csv", str(tmp_path / "rows.jsonl"), table.to_dict("list")):
        assert model.evaluate(data, text="t", label="gold") == scores
    with pytest.raises(DataError, match="'purple'"):
        model.evaluate([("a", "purple")])
    with pytest.raises(UsageError, match="data has no column 'label'. It has: t, gold"):
        model.evaluate(table, text="t")


def test_a_regression(models: dict[str, Model]) -> None:
    model = models["regression"]
    numbers = [float(one.label) for one in model.predict(TEXTS)]
    scores = model.evaluate([(text, 2 * one + 1) for text, one in zip(TEXTS, numbers, strict=True)])
    assert scores["pearson"] == pytest.approx(1)
    assert "by_label" not in scores


def test_a_tagger(models: dict[str, Model], tmp_path: Path) -> None:
    model = models["token_classification"]
    words = [["the", "cat", "c"], ["a", "b"]]
    tags = [tagging.tags for tagging in model.tag(words, words=True)]
    rows = [{"tokens": one, "ner_tags": other} for one, other in zip(words, tags, strict=True)]
    scores = model.evaluate(rows)
    lines = ["".join(f"{a} {b}\n" for a, b in zip(*row.values(), strict=True)) for row in rows]
    (tmp_path / "rows.conll").write_text("\n".join(lines))
    assert model.evaluate(tmp_path / "rows.conll") == scores
    assert scores["rows"] == 2
    with pytest.raises(DataError, match="B-LOC"):
        model.evaluate([(["a"], ["B-LOC"])])


def test_answers(models: dict[str, Model], tmp_path: Path) -> None:
    model, context = models["question_answering"], "the cat a b c a b"
    right = model.answer("a", context).text
    rows: list[dict[str, Any]] = [
        {"question": "a", "context": context, "answer": right},
        {"question": "a", "context": "the cat", "answer": "the cat a"},
    ]
    with pytest.raises(DataError):
        model.evaluate([{"question": "a", "context": context}])
    scores = model.evaluate(rows[:1])
    assert (scores["exact_match"], scores["f1"], scores["rows"]) == (100, 100, 1)
    values = [{**row, "id": str(n), "answers": [{"text": right}]} for n, row in enumerate(rows[:1])]
    (tmp_path / "rows.json").write_text(json.dumps(values))
    assert model.evaluate(tmp_path / "rows.json") == scores


def test_what_cannot_be_scored(models: dict[str, Model]) -> None:
    with pytest.raises(UsageError, match="no head"):
        models["embedding"].evaluate([("a", "b")])
