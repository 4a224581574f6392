"""What looks like texts and is none is refused by name, wherever texts are taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import plainbert
import plainbert.model
from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.recipes import embedding, predict_classifier, predict_ner, predict_squad
from plainbert.tasks.embedding.words import BertEmbedding
from plainbert.text.inputs import texts_of
from tests.helpers import folders

TABLE = pandas.DataFrame({"text": ["a", "b"], "n": [1, 2]})
WRONG: list[tuple[Any, str]] = [
    ({"text": "the cat"}, "a dict with the keys 'text'"),
    ({"text": ["a", "b"], "n": 1}, "a dict with the keys 'text, n'"),
    (b"the cat", r"bytes: decode it first"),
    (None, "is None"),
    (7, "is 7"),
    (1.5, "is 1.5"),
    (True, "is True"),
    (TABLE, "a DataFrame, which is a table"),
    ({"a"}, "a set, which has no order"),
    ({"a": 1}.keys(), "has no order"),
    ([b"a"], r"hold b'a'"),
    (["a", None], r"\[1\] is a NoneType"),
    (["a", float("nan")], r"\[1\] is a float"),
    ([{"text": "a"}], r"hold \{'text': 'a'\}"),
    ([["a", "b"]], r"hold \['a', 'b'\]"),
    ([("a", 1)], r"hold \('a', 1\)"),
    ([()], r"hold \(\)"),
    (("a", None), r"hold \('a', None\)"),
    (np.arange(3), "hold "),
    (["x" * 1000, 5], r"\[1\] is a int"),
]


@pytest.mark.parametrize(("texts", "said"), WRONG, ids=lambda value: str(value)[:30])
def test_refused(texts: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        texts_of(texts)
    assert len(str(error.value)) < 300


def test_taken() -> None:
    assert texts_of("a") == ["a"]
    assert texts_of(("a", "b")) == [("a", "b")]
    for several in (["a", "b"], iter(["a", "b"]), np.array(["a", "b"]), TABLE["text"]):
        assert texts_of(several) == ["a", "b"]
    assert texts_of([]) == []


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[Any], Any]]:
    """Every way in: of the model, of the word vectors, of the recipes as functions."""
    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    heads = ("embedding", "classification", "token_classification", "question_answering")
    paths = {
        head: checkpoint.write(place / head, folders.tiny(head), folders.tokenizer())
        for head in heads
    }
    models = {head: plainbert.load(path) for head, path in paths.items()}
    words = BertEmbedding("cpu", params_path=paths["embedding"])

    def recipe(module: Any, *names: str) -> Callable[[Any], Any]:
        folder = str(paths["classification"])
        given = dict.fromkeys(names, folder)
        return lambda texts: module.run(module.Settings(**given, sentences=texts))

    return {
        "encode": models["embedding"].encode,
        "encode_tokens": models["embedding"].encode_tokens,
        "features": models["embedding"].features,
        "predict": models["classification"].predict,
        "tag": models["token_classification"].tag,
        "question": lambda texts: models["question_answering"].answer(texts, "the cat"),
        "context": lambda texts: models["question_answering"].answer("the", texts),
        "words": words,
        "data_loader": lambda texts: list(words.data_loader(texts)),
        "predict_classifier": recipe(predict_classifier, "model_dir"),
        "embedding": recipe(embedding, "model_dir"),
    }


NAMES = ("encode", "encode_tokens", "features", "predict", "tag", "question", "context", "words",
         "data_loader", "predict_classifier", "embedding")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("texts", [wrong for wrong, _ in WRONG], ids=lambda value: str(value)[:30])
def test_every_way_in(entries: dict[str, Callable[[Any], Any]], name: str, texts: Any) -> None:
    if texts is None and name in ("predict_classifier", "embedding"):
        return  # there None says that a file has the texts
    with pytest.raises(UsageError):
        entries[name](texts)


def test_all_are_in_the_list(entries: dict[str, Callable[[Any], Any]]) -> None:
    assert set(entries) == set(NAMES)
    for name, call in entries.items():
        call(["the cat"]) if name != "context" else call("the cat")


def test_one_text_for_tokenize(tmp_path: Path) -> None:
    model = plainbert.load(
        checkpoint.write(tmp_path / "m", folders.tiny("embedding"), folders.tokenizer())
    )
    for wrong in (b"a", None, 3, {"a": 1}, ["a"]):
        with pytest.raises(UsageError, match="a text is expected"):
            model.tokenize(wrong)  # type: ignore[arg-type]


def test_one_text_from_python_is_not_its_letters(tmp_path: Path) -> None:
    """A recipe called as a function takes a text where its command line takes several."""
    path = checkpoint.write(
        tmp_path / "t", folders.tiny("token_classification"), folders.tokenizer()
    )
    settings = predict_ner.Settings(model_dir=str(path), sentences="the cat")  # type: ignore[arg-type]
    assert [one.text for one in predict_ner.run(settings).taggings] == ["the cat"]
    path = checkpoint.write(tmp_path / "q", folders.tiny("question_answering"), folders.tokenizer())
    asked = predict_squad.Settings(model_dir=str(path), question="the", context="a cat")  # type: ignore[arg-type]
    assert [one.question for one in predict_squad.read(asked).questions] == ["the"]
    for wrong in (b"the", {"a": 1}, 3, ("a", None)):
        with pytest.raises(UsageError):
            predict_squad.read(
                predict_squad.Settings(model_dir=str(path), question=wrong, context="a")
            )
        with pytest.raises(UsageError):
            predict_ner.read(predict_ner.Settings(model_dir=str(path), sentences=wrong))


def test_no_method_of_the_model_is_forgotten() -> None:
    methods = inspect.getmembers(plainbert.model.Model, inspect.isfunction)
    taking = {
        name
        for name, method in methods
        if {"text", "texts", "question", "sentences"} & inspect.signature(method).parameters.keys()
    }
    answers = {"answer"}  # by its arguments: "question" and "context"
    assert taking - answers - {"tokenize"} <= set(NAMES)
    assert len(taking) > 5
