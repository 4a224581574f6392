"""Whatever the library is handed, mistakes are named and never end in Python's own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plainbert
from plainbert import arguments, checkpoint
from plainbert.errors import PlainBertError, UsageError
from plainbert.model import Model
from tests.helpers import folders

HEADS = ("embedding", "classification", "regression", "token_classification", "question_answering")
WRONG: list[Any] = [
    5, 0, -1, 2.5, True, None, b"x", Path("x"), object(), {"a": 1}, {"a"}, [1], [None], [b"x"],
    [Path("x")], (1, 2), (), [()], [[]], ["a", ["b"]], np.array([1.0]), np.float32(1), "x" * 3,
]  # fmt: skip
METHODS = {
    "encode": "embedding",
    "encode_tokens": "embedding",
    "features": "embedding",
    "tokenize": "embedding",
    "predict": "classification",
    "tag": "token_classification",
}
OPTIONS = {
    "encode": ("max_len", "pooling_strategy", "pooling_layer"),
    "encode_tokens": ("max_len", "pooling_strategy", "pooling_layer"),
    "features": ("max_len",),
    "predict": ("max_len",),
    "tag": ("max_len",),
    "answer": ("max_len", "doc_stride", "max_query_length", "n_best", "max_answer_length",
               "null_threshold"),
}  # fmt: skip


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models")
    made: dict[str, Path] = {}
    for head in HEADS:
        model: Any = folders.tiny(head)
        made[head] = checkpoint.write(place / head, model, folders.tokenizer())
    return made


@pytest.fixture(scope="module")
def models(paths: dict[str, Path]) -> dict[str, Model]:
    return {head: plainbert.load(path) for head, path in paths.items()}


def calls(models: dict[str, Model], paths: dict[str, Path], value: Any) -> Iterator[Any]:
    """Every call in which one argument is of the wrong kind."""
    for name, head in METHODS.items():
        method: Callable[..., Any] = getattr(models[head], name)
        yield f"{name}()", lambda method=method: method(value)
        for option in OPTIONS.get(name, ()):
            keywords = {option: value}
            yield f"{name}({option})", lambda m=method, k=keywords: m(["the cat"], **k)
    answer: Callable[..., Any] = models["question_answering"].answer
    yield "answer(question)", lambda: answer(value, "the cat")
    yield "answer(context)", lambda: answer("a", value)
    for option in OPTIONS["answer"]:
        yield f"answer({option})", lambda k={option: value}: answer("a", "the cat", **k)
    load: Callable[..., Any] = plainbert.load
    yield "load()", lambda: load(value)
    for option in ("dtype", "device", "labels", "tokenizer", "dataset_name"):
        place, keywords = paths["classification"], {option: value}
        yield f"load({option})", lambda p=place, k=keywords: load(p, **k)
    get_model: Callable[..., Any] = plainbert.get_model
    yield "get_model()", lambda: get_model(value)
    scratch = {"pretrained": False, "vocab": paths["embedding"]}
    for option in ("dataset_name", "vocab", "ctx", "dropout"):
        keywords = {**scratch, option: value}
        yield f"get_model({option})", lambda k=keywords: get_model("bert_1_8_2", **k)


@pytest.mark.parametrize(
    "value", WRONG, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value))[:30]
)
def test_no_argument_ends_in_an_error_of_pythons(
    models: dict[str, Model], paths: dict[str, Path], value: Any
) -> None:
    raw, refused = [], 0
    for name, call in calls(models, paths, value):
        try:
            call()
        except PlainBertError:
            refused += 1
        except Exception as error:
            raw.append(f"{name}: {type(error).__name__}: {error}")
    assert raw == []
    assert refused > 5


def test_no_length_is_no_wish_for_the_usual_one(models: dict[str, Model]) -> None:
    for name in ("encode", "encode_tokens", "features", "predict", "tag"):
        method: Callable[..., Any] = getattr(models[METHODS[name]], name)
        for value in (0, -3, 2.0, "12"):
            with pytest.raises(UsageError, match=r"max_len=.*whole number of at least 1"):
                method(["the cat"], max_len=value)
    with pytest.raises(UsageError, match="max_len=0"):
        models["question_answering"].answer("a", "the cat", max_len=0)
    answer = models["question_answering"].answer("a", "the cat the cat", max_len=np.int64(20))
    assert answer.text in "the cat the cat"
    with pytest.raises(UsageError, match="doc_stride=0"):
        models["question_answering"].answer("a", "the cat", doc_stride=0)


def test_a_tuple_is_a_batch_like_a_list(models: dict[str, Model]) -> None:
    model = models["embedding"]
    texts = ("the cat", "a")
    assert model.encode(texts).shape == (2, 16)
    np.testing.assert_array_equal(model.encode(texts), model.encode(list(texts)))
    assert [len(row) for row in model.encode_tokens(texts)] == [4, 3]
    assert len(model.features(texts)) == 2
    assert models["classification"].predict(texts) == models["classification"].predict([*texts])
    assert models["token_classification"].tag(texts) == models["token_classification"].tag([*texts])
    answers = models["question_answering"].answer(texts, "the cat")
    assert [answer.id for answer in answers] == ["0", "1"]
    assert model.encode(("a",) * 40).shape == (40, 16)


def test_pairs_are_named_so(models: dict[str, Model]) -> None:
    for name in ("encode", "encode_tokens", "features", "predict"):
        method: Callable[..., Any] = getattr(models[METHODS[name]], name)
        pair = method([("the cat", "a")])
        assert len(pair) == 1
        for rows in ([["the cat", "a"]], (("the cat", "a"),), iter([["the cat", "a"]])):
            same = method(rows, pairs=True)
            if name == "features":
                assert same.row(0) == pair.row(0)
                assert same.types.tolist() == pair.types.tolist()
            else:
                assert str(same) == str(pair)
        with pytest.raises(UsageError, match=r"a tuple of 40 texts.*one row"):
            method([("a",) * 40])
        with pytest.raises(UsageError, match=r"with pairs=True every row is a list"):
            method(["the cat", "a"], pairs=True)


def test_words_of_sentences(models: dict[str, Model]) -> None:
    tagger = models["token_classification"]
    right = tagger.tag([("the", "cat"), ("a",) * 40])
    assert [len(tagging.words) for tagging in right] == [2, 40]
    assert tagger.tag([["the", "cat"], ["a"] * 40], words=True) == right
    with pytest.raises(UsageError, match="words=True"):
        tagger.tag([["the", "cat"]])
    with pytest.raises(UsageError, match=r"texts\[0\] is 'the' .*words=True"):
        tagger.tag(["the", "cat"], words=True)


def test_one_layer_needs_no_list(models: dict[str, Model]) -> None:
    model = models["embedding"]
    one = model.encode("the cat", pooling_layer=-2)
    np.testing.assert_array_equal(one, model.encode("the cat", pooling_layer=[-2]))
    with pytest.raises(UsageError, match="counted from the end"):
        model.encode("the cat", pooling_layer=0)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (arguments.whole, "3", "x='3': a whole number of at least 1 is expected"),
        (arguments.whole, True, "x=True: a whole number"),
        (arguments.number, "1", "x='1': a number is expected"),
        (arguments.text, b"a", r"x is b'a' \(bytes\); a text is expected"),
        (arguments.texts, "abc", "x='abc': a list of texts is expected"),
        (arguments.texts, ["a", 1], r"x\[1\] is 1 \(int\)"),
        (arguments.path, None, r"x is None \(NoneType\); a name or a path is expected"),
    ],
)
def test_messages(check: Callable[[str, Any], Any], value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check("x", value)


def test_what_is_taken() -> None:
    assert arguments.whole("x", np.int16(3)) == 3
    assert arguments.whole("x", -3, least=None) == -3
    assert arguments.number("x", np.float32(0.5)) == 0.5
    assert arguments.texts("x", np.array(["a", "b"])) == ("a", "b")
    assert arguments.path("x", Path("a")) == Path("a")
