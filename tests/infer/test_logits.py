"""Logits of a data set in row order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from plainbert.batching.features import featurize
from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.infer import logits
from plainbert.infer.prepare import prepare
from plainbert.nn.models import MODELS
from plainbert.text.wordpiece import WordPiece
from tests.helpers.rounding import rounding, terms_of
from tests.helpers.small_bert import SENTENCES


@pytest.mark.parametrize("head", ["classification", "regression", "next_sentence"])
def test_matches_one_at_a_time(head: str, config: BertConfig, tokenizer: WordPiece) -> None:
    model = MODELS[head](config.replace(id2label=("x", "y", "z")[: 1 if head[0] == "r" else 3]))
    model.train()  # dropout must be off all the same, and on again afterwards
    rows = [(text, text) for text in SENTENCES]
    features = featurize(tokenizer, rows, 24)
    got = logits.run(model, features, tokens_per_batch=20)
    assert model.training
    model.eval()
    atol = rounding(terms_of(config), got)
    for row in range(len(features)):
        part = slice(*features.offsets[row : row + 2])
        ids, types = (torch.from_numpy(x[part].astype(int)) for x in (features.ids, features.types))
        with torch.no_grad():
            right = model(ids[None], types[None])
        np.testing.assert_allclose(got[row], right[0].numpy(), rtol=0, atol=atol)
    np.testing.assert_array_equal(logits.run(prepare(model), features, tokens_per_batch=20), got)


def test_an_empty_data_set(config: BertConfig, tokenizer: WordPiece) -> None:
    model = MODELS["classification"](config.replace(id2label=("x", "y")))
    assert logits.run(model, featurize(tokenizer, [], 24)).shape == (0, 2)


def test_heads_without_a_row_of_logits(config: BertConfig, tokenizer: WordPiece) -> None:
    with pytest.raises(UsageError, match="a question_answering head has no logits per row"):
        logits.run(MODELS["question_answering"](config), featurize(tokenizer, [("a",)], 24))


def test_probabilities() -> None:
    got = logits.probabilities(np.array([[1000.0, 1000.0], [0.0, np.log(3)]], np.float32))
    np.testing.assert_allclose(got, [[0.5, 0.5], [0.25, 0.75]], atol=1e-7)
