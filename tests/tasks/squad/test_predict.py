"""How a model's folder and the caller together decide how questions are answered."""

from __future__ import annotations

import pytest
import torch

from plainbert.errors import UsageError
from plainbert.infer.logits import run_tokens
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import Search, decode
from plainbert.tasks.squad.predict import ask, limits_of, search_of
from plainbert.tasks.squad.windows import Limits, prepare
from tests.helpers import folders

ABOUT = {
    "max_length": 200, "doc_stride": 50, "max_query_length": 30, "version_2": True,
    "null_score_diff_threshold": -1.5,
}  # fmt: skip


def test_limits_are_given_else_of_the_training_else_the_published() -> None:
    assert limits_of({}, 512) == Limits(384, 128, 64)
    assert limits_of({}, 64) == Limits(64, 128, 32)  # room for the text is left
    assert limits_of(ABOUT, 512) == Limits(200, 50, 30)
    given = limits_of(ABOUT, 512, max_len=100, doc_stride=None, max_query_length=20)
    assert given == Limits(100, 50, 20)


def test_search_is_given_else_of_the_training() -> None:
    assert search_of({}) == Search(20, 30, False, 0.0)
    assert search_of(ABOUT) == Search(20, 30, True, -1.5)
    assert search_of(ABOUT, n_best=3, null_threshold=2.0) == Search(3, 30, True, 2.0)
    assert search_of({}, null_threshold=2.0, n_best=None).null
    assert not search_of(ABOUT, null=False).null


def test_the_three_steps() -> None:
    """A text of several windows: what is cut, computed and searched apart is what comes out."""
    torch.manual_seed(5)
    model, tokenizer = folders.tiny("question_answering"), folders.tokenizer()
    questions = [Question("x", "a", "b c cat " * 9), Question("y", "the cat", "a b")]
    limits, search = Limits(16, 4, 4), Search(n_best=3)

    windows = prepare(tokenizer, questions, limits)
    assert len(windows) > 2
    logits = run_tokens(model, windows.features)
    assert logits.shape == (len(windows.features.ids), 2)
    assert ask(model, tokenizer, questions, limits, search) == decode(
        logits, windows, questions, search
    )
    assert ask(model, tokenizer, [], limits, search) == []


def test_windows_longer_than_the_model() -> None:
    with pytest.raises(UsageError, match="max_len=50: this model has 32 positions"):
        ask(folders.tiny("question_answering"), folders.tokenizer(), [], Limits(50, 8, 8), Search())


def test_an_encoder_has_no_answers() -> None:
    questions = [Question("q", "a", "b")]
    with pytest.raises(UsageError, match="has no head; answering needs a span head"):
        ask(folders.tiny("embedding"), folders.tokenizer(), questions, Limits(20, 8, 8), Search())
