"""What looks like texts and is none is refused by name, wherever texts are taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
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
    ([["a", "b"]], r"hold \['a', 'b'\].*lists of texts in place of tuples: pairs=True"),
    ([("a", 1)], r"hold \('a', 1\)"),
    ([()], r"hold \(\)"),
    (("a", None), r"\[1\] is a NoneType"),
    ([("a", None)], r"hold \('a', None\)"),
    (np.arange(3), "hold "),
    (np.array("a"), "an array of no axis"),
    (np.array([["a", "b"]]), "hold array"),
    (torch.zeros(2), "hold tensor"),
    (["x" * 1000, 5], r"\[1\] is a int"),
]


@pytest.mark.parametrize(("texts", "said"), WRONG, ids=lambda value: str(value)[:30])
def test_refused(texts: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        texts_of(texts)
    assert len(str(error.value)) < 300


def test_taken() -> None:
    assert texts_of("a") == ["a"]
    batches = (["a", "b"], ("a", "b"), iter(["a", "b"]), (one for one in "ab"), TABLE["text"])
    for batch in (*batches, np.array(["a", "b"]), pyarrow.array(["a", "b"])):
        assert texts_of(batch) == ["a", "b"]
    assert texts_of([]) == texts_of(()) == []
    assert texts_of(zip("ab", "cd", strict=True)) == [("a", "c"), ("b", "d")]
    assert texts_of([("a", "b"), "c"]) == texts_of((("a", "b"), "c")) == [("a", "b"), "c"]


def test_an_iterator_is_looked_at() -> None:
    with pytest.raises(UsageError, match=r"\[1\] is a NoneType"):
        texts_of(iter(["a", None]))


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array])
@pytest.mark.parametrize("inner", [list, tuple])
def test_rows_of_several_texts(kind: Callable[[Any], Any], inner: Callable[[Any], Any]) -> None:
    rows = kind([inner(["a", "b"]), inner(["c", "d"])])
    assert texts_of(rows, grouped=True) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a", "texts is one text; with pairs=True a list of lists"),
        (("a", "b"), r"texts\[0\] is 'a' \(str\); with pairs=True every row is a list"),
        ([("a", "b"), "c"], r"texts\[1\] is 'c'"),
        ([("a", None)], r"texts hold \('a', None\)"),
        ([{"a": "b"}], r"texts\[0\] is {'a': 'b'} \(dict\)"),
        ([list("abcd")], r"tuple of 4 texts \(texts\[0\]\)"),
        (TABLE, "a DataFrame, which is a table"),
    ],
)
def test_rows_that_hold_no_several_texts(rows: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        texts_of(rows, grouped=True, most=3)


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
        "search": lambda texts: models["embedding"].search("the cat", texts),
        "query": lambda texts: models["embedding"].search(texts, ["the cat"]),
        "similarity": lambda texts: models["embedding"].similarity(texts, "the cat"),
        "predict": models["classification"].predict,
        "tag": models["token_classification"].tag,
        "question": lambda texts: models["question_answering"].answer(texts, "the cat"),
        "context": lambda texts: models["question_answering"].answer("the", texts),
        "words": words,
        "data_loader": lambda texts: list(words.data_loader(texts)),
        "predict_classifier": recipe(predict_classifier, "model_dir"),
        "embedding": recipe(embedding, "model_dir"),
    }


NAMES = ("encode", "encode_tokens", "features", "search", "query", "similarity", "predict", "tag",
         "question", "context", "words", "data_loader", "predict_classifier",
         "embedding")  # fmt: skip


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
    answers = {"answer", "evaluate"}  # by its arguments: "question" and "context"; a column
    assert taking - answers - {"tokenize"} <= set(NAMES)
    assert len(taking) > 5
