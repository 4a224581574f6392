"""How much vectors are alike, as sentence-transformers computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from plainbert.errors import UnknownNameError, UsageError
from plainbert.tasks.embedding.similarity import FUNCTIONS, compare, nearest, rows_of

RANDOM = np.random.default_rng(0)
FIRST = RANDOM.normal(size=(5, 7)).astype(np.float32)
SECOND = RANDOM.normal(size=(3, 7)).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_sentence_transformers(name: str) -> None:
    from sentence_transformers.util import SimilarityFunction

    function = SimilarityFunction.to_similarity_fn(name)
    right = function(torch.from_numpy(FIRST), torch.from_numpy(SECOND)).numpy()
    np.testing.assert_allclose(compare(FIRST, SECOND, name), right, rtol=0, atol=1e-5)


def test_the_usual_one_is_the_cosine() -> None:
    assert np.array_equal(compare(FIRST, SECOND), compare(FIRST, SECOND, "cosine"))
    zero = np.zeros((1, 7), np.float32)
    assert np.array_equal(compare(zero, FIRST), np.zeros((1, 5)))


def test_large_tables_of_distances_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(FIRST, SECOND, "euclidean")
    monkeypatch.setattr("plainbert.tasks.embedding.similarity.SHARE", 1)
    assert np.array_equal(compare(FIRST, SECOND, "euclidean"), whole)


def test_nearest() -> None:
    table = np.array([[0.1, 0.9, 0.9, 0.5], [1, 0, 0, 0]], np.float32)
    assert nearest(table, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert nearest(table, 99).shape == (2, 4)


@pytest.mark.parametrize(
    "vectors", [FIRST, FIRST.astype(np.float64), torch.from_numpy(FIRST), FIRST.tolist()]
)
def test_vectors_of_every_kind(vectors: Any) -> None:
    assert np.array_equal(rows_of("first", vectors), FIRST)
    assert np.array_equal(rows_of("first", vectors[0]), FIRST[:1])


@pytest.mark.parametrize("value", [None, {"a": 1}, 3, np.zeros((2, 2, 2)), [[1], [1, 2]]])
def test_what_is_no_vector(value: Any) -> None:
    with pytest.raises(UsageError, match="first is "):
        rows_of("first", value)


def test_mistakes() -> None:
    with pytest.raises(UsageError, match="of 7 and of 6 numbers"):
        compare(FIRST, SECOND[:, :6])
    with pytest.raises(UnknownNameError, match="no similarity is named 'cos'"):
        compare(FIRST, SECOND, "cos")
