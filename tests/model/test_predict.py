"""What predictions, taggings and answers are, and the tables they make."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import plainbert
from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.model import Model
from plainbert.tasks.classification.decode import Prediction
from tests.helpers import folders

TEXTS = ["the cat", "a b c", "b"]
HEADS = ("classification", "regression", "token_classification", "question_answering")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models")
    changes = {"token_classification": {"id2label": ("O", "B-PER", "I-PER")}}
    return {
        head: checkpoint.write(
            place / head, folders.tiny(head, **changes.get(head, {})), folders.tokenizer()
        )
        for head in HEADS
    }


@pytest.fixture(scope="module")
def models(paths: dict[str, Path]) -> dict[str, Model]:
    return {head: plainbert.load(path) for head, path in paths.items()}


def test_label_and_score_as_transformers(paths: dict[str, Path], models: dict[str, Model]) -> None:
    from transformers import pipeline

    peer: Any = pipeline("text-classification", str(paths["classification"]), device="cpu")
    right = peer(TEXTS)
    predictions = models["classification"].predict(TEXTS, batch_size=2, show_progress_bar=False)
    assert [prediction.label for prediction in predictions] == [one["label"] for one in right]
    scores = [one["score"] for one in right]
    assert [one.score for one in predictions] == pytest.approx(scores, abs=1e-5)
    ranked = models["classification"].predict(TEXTS, top_k=2)
    for row, expected in zip(ranked, peer(TEXTS, top_k=2), strict=True):
        assert [one.label for one in row] == [one["label"] for one in expected]
        assert [one.score for one in row] == pytest.approx([one["score"] for one in expected])
    assert len(models["classification"].predict("a", top_k=9)) == 3


def test_a_table_of_predictions(models: dict[str, Model]) -> None:
    predictions = models["classification"].predict(TEXTS)
    for table in (pandas.DataFrame(predictions), predictions.to_frame()):
        assert list(table.columns) == ["label", "score"]
        assert table["label"].tolist() == [one.label for one in predictions]
        assert table["score"].tolist() == [max(one.probabilities.values()) for one in predictions]
    array = predictions.probabilities
    assert array.shape == (3, 3)
    assert array[1].tolist() == list(predictions[1].probabilities.values())
    np.testing.assert_allclose(array.sum(1), 1, atol=1e-6)
    numbers = models["regression"].predict(TEXTS)
    assert pandas.DataFrame(numbers)["label"].tolist() == [one.score for one in numbers]
    with pytest.raises(UsageError, match="no probabilities"):
        numbers.probabilities  # noqa: B018
    with pytest.raises(UsageError, match="gives a number"):
        models["regression"].predict(TEXTS, top_k=2)


def test_predictions_travel() -> None:
    one = Prediction("b", {"a": 0.25, "b": 0.75}, ("b",))
    assert (one.label, one.score, one.labels) == ("b", 0.75, ("b",))
    assert repr(one) == "Prediction(label='b', score=0.75)"
    assert (
        pickle.loads(pickle.dumps(one))
        == one
        == Prediction.of(json.loads(json.dumps(one.as_dict())))
    )
    assert one != Prediction("b", {"a": 0.2, "b": 0.75, "c": 0.05}, ("b",))
    assert len({one, Prediction.of(one.as_dict())}) == 1
    one.probabilities["a"] = 9.0
    assert one.probabilities["a"] == 0.25


def test_a_table_of_entities_and_of_words(models: dict[str, Model]) -> None:
    taggings = models["token_classification"].tag([("a", "b"), ("the", "cat", "c")], batch_size=1)
    words = taggings.to_frame(words=True)
    assert list(words.columns) == ["row", "text", "start", "end", "tag", "score"]
    assert words["row"].tolist() == [0, 0, 1, 1, 1]
    assert words["text"].tolist() == ["a", "b", "the", "cat", "c"]
    entities = [(row, one.text) for row, tagging in enumerate(taggings) for one in tagging.entities]
    table = taggings.to_frame()
    assert len(table) == len(entities)
    if entities:
        assert list(table.columns) == ["row", "text", "type", "start", "end", "score"]
        assert list(zip(table["row"], table["text"], strict=True)) == entities


def test_answers_by_the_names_of_the_flags(models: dict[str, Model]) -> None:
    model, context = models["question_answering"], "the cat a b c a b the c " * 3
    plain = model.answer(["a", "the"], context, n_best=7, null_threshold=0.5)
    flags = model.answer(
        ("a", "the"), context, n_best_size=7, null_score_diff_threshold=0.5, batch_size=2,
        show_progress_bar=False, device="cpu",
    )  # fmt: skip
    assert flags == plain
    table = plain.to_frame()
    columns = ["id", "text", "start", "end", "probability", "null_odds"]
    assert list(table.columns) == columns
    assert table["text"].tolist() == [one.text for one in plain]
    few = model.answer("a", context, top_k=2)
    assert len(few.nbest) == 2
    assert few.text == model.answer("a", context).text
    with pytest.raises(UsageError, match="n_best_size and n_best are the same"):
        model.answer("a", context, n_best=3, n_best_size=3)


def test_the_probability_is_that_of_all_spans(models: dict[str, Model]) -> None:
    model, context = models["question_answering"], "the cat a b c a b the c " * 3
    shares = [model.answer("a", context, n_best=count).probability for count in (20, 50, 200)]
    assert shares == pytest.approx(shares[:1] * 3, rel=1e-9)
