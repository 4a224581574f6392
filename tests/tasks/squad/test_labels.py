"""Tokens of right answers, by hand; test_windows holds them to Google's loops."""

from __future__ import annotations

import numpy as np

from plainbert.nn.names import IGNORE
from plainbert.tasks.squad.data import NOWHERE, GoldAnswer, Question
from plainbert.tasks.squad.labels import answer_tokens, window_labels
from plainbert.text.offsets import OffsetTokenizer
from tests.helpers import folders


def test_tokens_of_answers() -> None:
    texts = ["the cat", "c \u200b the", "cat-a"]
    questions = [
        Question("x", "a", texts[1], (GoldAnswer("the", 4),)),
        Question("y", "a", texts[0], (GoldAnswer("dog", NOWHERE), GoldAnswer("cat", 4))),
        Question("z", "a", texts[1], (GoldAnswer("\u200b", 2),)),
        Question("hidden", "a", texts[0]),
        Question("none", "a", texts[0], (GoldAnswer("cat", 4),), impossible=True),
        Question("touching", "a", texts[2], (GoldAnswer("-a", 3),)),
    ]
    tokens = OffsetTokenizer(folders.tokenizer())(texts)

    spans = answer_tokens(questions, np.array([1, 0, 1, 0, 0, 2]), tokens, texts)

    assert spans.tolist() == [[1, 1], [1, 1], [1, 0], [-1, -1], [-1, -1], [1, 2]]


def test_labels_of_windows() -> None:
    spans = np.array([[4, 5], [4, 5], [4, 5], [1, 0], [-1, -1]])
    begin, size, first = np.array([0, 4, 5, 0, 0]), np.full(5, 5), np.full(5, 3)

    labels = window_labels(spans, begin, size, first)

    # Its last token is outside, wholly inside, its first one is outside.
    assert labels.tolist() == [[0, 0], [3, 4], [0, 0], [IGNORE, IGNORE], [0, 0]]
