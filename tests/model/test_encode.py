"""The keywords that users of sentence-transformers know, against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plainbert
from plainbert import checkpoint
from plainbert.errors import UsageError
from plainbert.model import Model
from tests.helpers import folders

TEXTS = ["the cat", "a b c", "", "b", "the cat a a c b"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    about = {
        "pooling": "mean", "normalize": False, "max_length": 12,
        "prompts": {"query": "a ", "document": "b "},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return checkpoint.write(folder, folders.tiny("embedding"), folders.tokenizer(), about=about)


@pytest.fixture(scope="module")
def model(place: Path) -> Model:
    return plainbert.load(place)


@pytest.fixture(scope="module")
def peer(place: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(place), device="cpu")


@pytest.mark.parametrize(
    "keywords",
    [
        {"batch_size": 2, "show_progress_bar": False},
        {"normalize_embeddings": True},
        {"normalize_embeddings": False},
        {"truncate_dim": 5},
        {"truncate_dim": 5, "normalize_embeddings": True},
        {"prompt_name": "query"},
        {"prompt": "c "},
        {"convert_to_tensor": True},
        {"convert_to_numpy": True},
        {"device": "cpu"},
    ],
)
def test_keywords_mean_what_they_mean_there(
    model: Model, peer: Any, keywords: dict[str, Any]
) -> None:
    right = peer.encode(TEXTS, **keywords)
    vectors = model.encode(TEXTS, **keywords)
    assert type(vectors) is type(right)
    np.testing.assert_allclose(np.asarray(vectors), np.asarray(right), rtol=0, atol=1e-5)


def test_one_text_as_a_tensor(model: Model, peer: Any) -> None:
    right = peer.encode("the cat", convert_to_tensor=True)
    vector = model.encode("the cat", convert_to_tensor=True)
    assert vector.shape == right.shape
    torch.testing.assert_close(vector, right, rtol=0, atol=1e-5)


def test_similarity(model: Model, peer: Any) -> None:
    vectors = model.encode(TEXTS)
    right = peer.similarity(vectors, vectors[:2]).numpy()
    np.testing.assert_allclose(model.similarity(vectors, vectors[:2]), right, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.similarity(TEXTS, TEXTS[:2]), right, rtol=0, atol=1e-5)
    table = model.similarity(torch.from_numpy(vectors), vectors[:2])
    assert isinstance(table, torch.Tensor)
    assert model.similarity("the cat", vectors).shape == (1, 5)


def test_search(model: Model, peer: Any) -> None:
    from sentence_transformers.util import semantic_search

    queries, texts = ["the cat", "c"], TEXTS
    left, right = peer.encode_query(queries), peer.encode_document(texts)
    expected = semantic_search(left, right, top_k=3)
    matches = model.search(queries, texts, top_k=3)
    assert [[match.index for match in row] for row in matches] == [
        [hit["corpus_id"] for hit in row] for row in expected
    ]
    assert matches[0][0].score == pytest.approx(expected[0][0]["score"], abs=1e-5)
    assert matches[0][0].text == texts[matches[0][0].index]
    [*by_vectors] = model.search("the cat", right, top_k=3)
    assert [match.index for match in by_vectors] == [match.index for match in matches[0]]
    assert model.search("a", []) == []
    assert list(model.search("a", texts).to_frame().columns) == ["index", "score", "text"]


def test_mistakes(model: Model) -> None:
    for keywords, message in (
        ({"batch_size": 0}, "batch_size=0: a whole number of at least 1"),
        ({"truncate_dim": -1}, "truncate_dim=-1"),
        ({"normalize": False, "normalize_embeddings": True}, "give one of them"),
        ({"normalize_embeddings": "yes"}, "True or False is expected"),
        ({"pairs": 1}, "pairs=1: True or False"),
        ({"device": "gpu"}, "is not a device"),
    ):
        with pytest.raises(UsageError, match=message):
            model.encode(TEXTS, **keywords)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="top_k=0"):
        model.search("a", TEXTS, top_k=0)
    for value in (None, {"a": 1}, 3):
        with pytest.raises(UsageError):
            model.similarity(TEXTS, value)
        with pytest.raises(UsageError):
            model.search("a", value)
    with pytest.raises(UsageError, match="of 16 and of 3 numbers"):
        model.search("a", np.zeros((2, 3)))
