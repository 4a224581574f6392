"""Answers from logits, against Google's loop written out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.errors import UsageError
from plainbert.infer.finite import NotFiniteError
from plainbert.tasks.squad import decode as module
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.decode import HOPELESS, Answer, Search, decode
from plainbert.tasks.squad.windows import Limits, Windows, prepare
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

VOCAB = Vocab.from_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##b", "c", "d", "."])
TOKENIZER = WordPiece(VOCAB)
LIMITS = Limits(18, 4, 4)


def google(
    logits: Any, windows: Windows, question: Question, row: int, search: Search, filtered: bool
) -> list[tuple[str, int, int, float]]:
    """``write_predictions`` for one question: candidates as (text, start, end, score).

    Args:
        filtered: drop impossible tokens before the best are chosen; Google does so afterwards.
    """
    tried = []
    lowest = math.inf
    for window in np.flatnonzero(windows.question == row):
        begin, stop = windows.features.offsets[window : window + 2]
        start, end = logits[begin:stop, 0].tolist(), logits[begin:stop, 1].tolist()
        first = int(windows.first[window])
        inside = range(first, int(stop - begin) - 1)
        best = range(*windows.max_context[window].tolist())
        lowest = min(lowest, start[0] + end[0])

        def top(values: list[float], allowed: range) -> list[int]:
            ranked = sorted(enumerate(values), key=lambda pair: pair[1], reverse=True)
            tokens = [token for token, _ in ranked if not filtered or token in allowed]
            return tokens[: search.n_best]

        for one in top(start, best):
            for other in top(end, inside):
                if one not in inside or other not in inside or one not in best:
                    continue
                if other < one or other - one + 1 > search.max_answer_length:
                    continue
                piece = int(windows.first_row[window]) - first
                tried.append(
                    (
                        int(windows.start[piece + one]),
                        int(windows.end[piece + other]),
                        start[one] + end[other],
                    )
                )
    tried.sort(key=lambda each: each[2], reverse=True)
    found: list[tuple[str, int, int, float]] = []
    for begin_char, end_char, score in tried:
        text = question.context[begin_char:end_char]
        if text and text not in [each[0] for each in found]:
            found.append((text, begin_char, end_char, score))
    found = found[: search.n_best]
    if search.null:
        place = sum(each[3] >= lowest for each in found)
        found.insert(place, ("", 0, 0, lowest))
    return found


@st.composite
def case(draw: st.DrawFn) -> tuple[list[Question], Search, int, bool]:
    letters = st.sampled_from("ab cd. ")
    questions = [
        Question(str(row), draw(st.text(letters, max_size=6)), draw(st.text(letters, max_size=70)))
        for row in range(draw(st.integers(1, 4)))
    ]
    search = Search(
        draw(st.integers(1, 8)),
        draw(st.integers(1, 9)),
        draw(st.booleans()),
        draw(st.floats(-3, 3)),
    )
    return questions, search, draw(st.integers(0, 2**31)), draw(st.booleans())


@settings(max_examples=250, deadline=None)
@given(case())
def test_answers_are_googles(drawn: tuple[list[Question], Search, int, bool]) -> None:
    questions, search, seed, ties = drawn
    windows = prepare(TOKENIZER, questions, LIMITS)
    generator = np.random.default_rng(seed)
    shape = (len(windows.features.ids), 2)
    logits = generator.normal(0, 3, shape).astype(np.float32)
    if ties:
        logits = logits.round()

    found = decode(logits, windows, questions, search)

    assert [each.id for each in found] == [each.id for each in questions]
    for row, (question, answer) in enumerate(zip(questions, found, strict=True)):
        right = google(logits, windows, question, row, search, filtered=True)
        got = [(each.text, each.start, each.end, each.score) for each in answer.nbest]
        assert got == right
        check_probabilities(answer, total(logits, windows, row, search))
        check_choice(answer, search)
        for each in answer.nbest:
            assert question.context[each.start : each.end] == each.text
        # Whatever Google's own order of things finds, this finds too, or better.
        theirs = [each for each in google(logits, windows, question, row, search, False) if each[0]]
        if theirs:
            assert answer.best is not None
            assert answer.best.score >= theirs[0][3]


def total(logits: Any, windows: Windows, row: int, search: Search) -> float:
    """The sum of exp(score) over every span of a question that could be its answer."""
    powers, lowest = 0.0, math.inf
    for window in np.flatnonzero(windows.question == row):
        begin, stop = windows.features.offsets[window : window + 2]
        start, end = logits[begin:stop, 0].tolist(), logits[begin:stop, 1].tolist()
        lowest = min(lowest, start[0] + end[0])
        for one in range(*windows.max_context[window].tolist()):
            last = min(one + search.max_answer_length, int(stop - begin) - 1)
            powers += sum(math.exp(start[one] + end[other]) for other in range(one, last))
    return powers + (math.exp(lowest) if search.null else 0)


def check_probabilities(answer: Answer, every: float) -> None:
    assert [span.probability for span in answer.nbest] == pytest.approx(
        [math.exp(span.score) / every for span in answer.nbest]
    )


def test_the_probability_does_not_depend_on_the_number_of_candidates() -> None:
    questions, windows, logits = two_questions()
    for null in (False, True):
        few, many = (
            decode(logits, windows, questions, Search(count, null=null)) for count in (5, 40)
        )
        for one, other in zip(few, many, strict=True):
            assert one.text == other.text
            assert one.probability == pytest.approx(other.probability, rel=1e-12)
            assert len(one.nbest) <= len(other.nbest)
            assert sum(span.probability for span in other.nbest) <= 1 + 1e-9


def test_probabilities_of_large_logits() -> None:
    questions, windows, logits = two_questions()
    for span in decode(logits * 300, windows, questions, Search())[0].nbest:
        assert 0 <= span.probability <= 1


def check_choice(answer: Answer, search: Search) -> None:
    real = [each for each in answer.nbest if each.text]
    none = [each for each in answer.nbest if not each.text]
    assert answer.best == (real[0] if real else None)
    chosen = real[0] if real else None
    if search.null:
        assert len(none) == 1
        odds = none[0].score - real[0].score if real else HOPELESS
        assert answer.null_odds == pytest.approx(odds)
        assert answer.na_prob == pytest.approx(1 / (1 + math.exp(-min(odds, 700))))
        if odds > search.null_threshold:
            chosen = none[0]
    else:
        assert not none
        assert answer.null_odds is None
        assert answer.na_prob is None
    if chosen is None:
        assert (answer.text, answer.start, answer.end, answer.probability) == ("", 0, 0, 0.0)
    else:
        assert (answer.text, answer.start, answer.end, answer.probability) == (
            chosen.text,
            chosen.start,
            chosen.end,
            chosen.probability,
        )


def two_questions() -> tuple[list[Question], Windows, Any]:
    questions = [Question("x", "a", "b c d. " * 6), Question("y", "a b", "d c")]
    windows = prepare(TOKENIZER, questions, LIMITS)
    logits = np.random.default_rng(0).normal(size=(len(windows.features.ids), 2))
    return questions, windows, logits


def test_the_threshold_decides() -> None:
    questions, windows, logits = two_questions()
    odds = [each.null_odds for each in decode(logits, windows, questions, Search(null=True))]
    for row in (0, 1):
        threshold = odds[row]
        assert threshold is not None
        for shift, empty in ((0.01, False), (-0.01, True)):
            search = Search(null=True, null_threshold=threshold + shift)
            assert (decode(logits, windows, questions, search)[row].text == "") is empty


def test_no_answer_is_possible() -> None:
    """Google's script (and GluonNLP's) ends with an error here."""
    questions = [Question("x", "a", ""), Question("y", "a", " \u200b ")]
    windows = prepare(TOKENIZER, questions, LIMITS)
    logits = np.zeros((len(windows.features.ids), 2), np.float32)

    for each in decode(logits, windows, questions, Search()):
        assert (each.text, each.nbest, each.best) == ("", (), None)
    for each in decode(logits, windows, questions, Search(null=True)):
        assert (each.text, each.probability, each.null_odds, each.na_prob) == ("", 1, HOPELESS, 1)


def test_few_windows_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    questions, windows, logits = two_questions()
    questions = questions * 5
    windows = prepare(TOKENIZER, questions, LIMITS)
    logits = np.random.default_rng(1).normal(size=(len(windows.features.ids), 2))
    whole = decode(logits, windows, questions, Search(null=True))
    monkeypatch.setattr(module, "PAIRS", 1)

    assert decode(logits, windows, questions, Search(null=True)) == whole


def test_a_model_that_diverged() -> None:
    questions, windows, logits = two_questions()
    logits[3, 1] = np.nan
    with pytest.raises(NotFiniteError, match=r"1 row\(s\) .*: question x\. .* diverged"):
        decode(logits, windows, questions, Search())


def test_searches_that_cannot_be() -> None:
    for wrong in ({"n_best": 0}, {"max_answer_length": 0}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))}=0"):
            replace(Search(), **wrong)
