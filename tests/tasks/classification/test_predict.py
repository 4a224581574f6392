"""Texts to labels: the first step, the last step, and all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from plainbert.batching.features import tokenized
from plainbert.errors import UsageError
from plainbert.infer.logits import run
from plainbert.infer.prepare import prepare
from plainbert.tasks.classification.decode import Prediction, decode
from plainbert.tasks.classification.predict import checked, predict
from tests.helpers import folders
from tests.helpers.rounding import rounding, terms_of

LABELS = ("ham", "spam", "jam")
TINY = folders.tokenizer()
TEXTS = ["the cat", ("a", "b c"), ""]


def classifier(head: str = "classification") -> Any:
    torch.manual_seed(3)
    return folders.tiny(head, id2label=LABELS if head == "classification" else ())


@pytest.mark.parametrize("head", ["classification", "regression"])
def test_the_steps_are_those_of_the_whole(head: str) -> None:
    model = prepare(classifier(head))
    features = tokenized(TINY, TEXTS, 12, folders.CONFIG.max_position_embeddings)
    logits = run(model, features)
    assert logits.shape == (3, 3 if head == "classification" else 1)
    assert predict(model, TINY, TEXTS, LABELS, 12) == decode(
        logits, LABELS if head == "classification" else ()
    )


def test_against_one_text_at_a_time() -> None:
    model = classifier().eval()
    atol = rounding(terms_of(folders.CONFIG))
    for text, prediction in zip(TEXTS, predict(model, TINY, TEXTS, LABELS, 12), strict=True):
        parts = [text] if isinstance(text, str) else list(text)
        ids, types = [TINY.vocab.cls_id], [0]
        for segment, part in enumerate(parts):
            pieces = [*TINY.ids(part), TINY.vocab.sep_id]
            ids += pieces
            types += [segment] * len(pieces)
        with torch.no_grad():
            shares = model(torch.tensor([ids]), torch.tensor([types]))[0].double().softmax(-1)
        expected = dict(zip(LABELS, shares.tolist(), strict=True))
        assert prediction.probabilities == pytest.approx(expected, rel=0, abs=atol)
        assert prediction.label == LABELS[int(shares.argmax())]


def test_decode() -> None:
    logits = np.array([[0.0, np.log(3.0)], [np.log(7.0), 0.0]], np.float32)
    first, second = decode(logits, ("no", "yes"))
    assert (first.label, second.label) == ("yes", "no")
    assert first.probabilities == pytest.approx({"no": 0.25, "yes": 0.75}, abs=1e-6)
    assert second.probabilities == pytest.approx({"no": 0.875, "yes": 0.125}, abs=1e-6)
    assert decode(np.array([[2.5]], np.float32), ()) == [Prediction(2.5, {})]


def test_other_heads_are_refused() -> None:
    with pytest.raises(UsageError, match="out/model has a token_classification head; predict"):
        checked(folders.tiny("token_classification"), "out/model")
    with pytest.raises(UsageError, match="this model has no head; predict needs a classifier"):
        predict(classifier().bert, TINY, TEXTS, LABELS, 12)
