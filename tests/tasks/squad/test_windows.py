"""Windows over contexts, against Google's loops written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.errors import UsageError
from plainbert.nn.names import IGNORE
from plainbert.tasks.squad import windows as spans
from plainbert.tasks.squad.data import NOWHERE, GoldAnswer, Question
from plainbert.tasks.squad.windows import Limits, Windows, prepare
from plainbert.text.offsets import OffsetTokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

# [CLS] and [SEP] at unusual rows: they must be looked up.
VOCAB = Vocab.from_tokens(["a", "b", "##b", "c", "[SEP]", "[UNK]", "d", ".", "[CLS]", "[PAD]"])
TOKENIZER = WordPiece(VOCAB)
CLS, SEP = VOCAB.cls_id, VOCAB.sep_id


def google(questions: list[Question], limits: Limits) -> list[dict[str, Any]]:
    """``convert_examples_to_features`` with characters in place of its words."""
    features = []
    for row, question in enumerate(questions):
        asked = TOKENIZER.ids(question.question)[: limits.max_query_length]
        pieces = TOKENIZER.pieces(question.context)
        room = limits.max_len - len(asked) - 3
        parts = []
        start = 0
        while start < len(pieces):
            length = min(len(pieces) - start, room)
            parts.append((start, length))
            if start + length == len(pieces):
                break
            start += min(length, limits.doc_stride)
        parts = parts or [(0, 0)]  # Google's drops a question about nothing
        target = None if question.impossible else question.target
        for number, (start, length) in enumerate(parts):
            label = (0, 0)
            if target is not None:
                inside = [
                    token
                    for token in range(len(pieces))
                    if pieces.end[token] > target.start and pieces.start[token] < target.end
                ]
                if not inside:
                    label = (IGNORE, IGNORE)
                elif inside[0] >= start and inside[-1] < start + length:
                    shift = len(asked) + 2 - start
                    label = (inside[0] + shift, inside[-1] + shift)
            best = [
                place
                for place in range(length)
                if max(
                    range(len(parts)),
                    key=lambda other: _score(parts[other], start + place),  # noqa: B023
                )
                == number
            ]
            features.append(
                {
                    "row": row,
                    "ids": [CLS, *asked, SEP, *pieces.ids[start : start + length], SEP],
                    "types": [0] * (len(asked) + 2) + [1] * (length + 1),
                    "first": len(asked) + 2,
                    "spans": [
                        (pieces.start[start + place], pieces.end[start + place])
                        for place in range(length)
                    ],
                    "best": [place + len(asked) + 2 for place in best],
                    "label": label,
                }
            )
    return features


def _score(part: tuple[int, int], token: int) -> float:
    start, length = part
    if not start <= token < start + length:
        return -1.0
    return min(token - start, start + length - 1 - token) + 0.01 * length


def as_lists(windows: Windows) -> list[dict[str, Any]]:
    features = windows.features
    assert features.labels is not None
    found = []
    for row in range(len(windows)):
        first, piece = int(windows.first[row]), int(windows.first_row[row])
        count = int(features.lengths[row]) - first - 1
        part = slice(piece, piece + count)
        tokens = slice(*features.offsets[row : row + 2])
        found.append(
            {
                "row": int(windows.question[row]),
                "ids": features.row(row),
                "types": features.types[tokens].tolist(),
                "first": first,
                "spans": list(
                    zip(windows.start[part].tolist(), windows.end[part].tolist(), strict=True)
                ),
                "best": list(range(*windows.max_context[row])),
                "label": tuple(features.labels[row].tolist()),
            }
        )
    return found


@st.composite
def question(draw: st.DrawFn) -> Question:
    letters = st.sampled_from("ab cd.\u200b ")
    context = draw(st.text(letters, max_size=60))
    start = draw(st.integers(0, max(0, len(context) - 1)))
    text = context[start : start + draw(st.integers(1, 8))]
    answers = (GoldAnswer(text, start),) if text else ()
    if draw(st.booleans()):
        answers = (GoldAnswer("zz", NOWHERE), *answers)
    return Question(
        "q",
        draw(st.text(letters, max_size=12)),
        context,
        answers,
        impossible=draw(st.integers(0, 4)) == 0,
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(question(), min_size=1, max_size=5), st.integers(5, 12), st.integers(1, 12))
def test_windows_are_googles(questions: list[Question], room: int, stride: int) -> None:
    questions += questions[:1]  # two questions about one context
    limits = Limits(room + 7, stride, 6)
    windows = prepare(TOKENIZER, questions, limits, labelled=True)

    assert as_lists(windows) == google(questions, limits)
    long = sum(len(TOKENIZER.ids(each.question)) > 6 for each in questions)
    assert windows.features.cut == long


def test_without_labels_for_prediction() -> None:
    windows = prepare(TOKENIZER, [Question("q", "a", "b c", (GoldAnswer("c", 2),))])

    assert windows.features.labels is None
    assert windows.features.row(0) == [CLS, *TOKENIZER.ids("a"), SEP, *TOKENIZER.ids("b c"), SEP]


def test_an_answer_inside_a_word_takes_the_smallest_run_of_tokens() -> None:
    # "abb" is a, ##b, ##b; the answer is its last letter and the word after.
    windows = prepare(
        TOKENIZER, [Question("q", "a", "d abb c", (GoldAnswer("b c", 4),))], labelled=True
    )

    assert windows.features.labels is not None
    first, last = windows.features.labels[0]
    assert windows.features.row(0)[first : last + 1] == TOKENIZER.ids("abb c")[2:]


def test_an_answer_of_characters_that_are_no_token_is_not_trained_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    windows = prepare(
        TOKENIZER, [Question("q", "a", "b \u200b c", (GoldAnswer("\u200b", 2),))], labelled=True
    )

    assert windows.features.labels is not None
    assert windows.features.labels.tolist() == [[IGNORE, IGNORE]]
    assert windows.unreached == 1
    windows.report("some")
    assert "some: 1 rows are not trained on" in caplog.text


def test_long_questions_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    prepare(TOKENIZER, [Question("q", "a b c", "d")], Limits(20, 4, 2)).report("some")

    assert "some: the questions of 1 rows were longer than max_query_length" in caplog.text


def test_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [
        Question(str(row), "a b" * (row % 3), "a bb c. " * (row % 7), (GoldAnswer("c", 5),))
        for row in range(50)
    ]
    limits = Limits(20, 4, 8)
    alone = prepare(TOKENIZER, questions, limits, labelled=True)
    monkeypatch.setattr(spans, "WORTH_WORKERS", 0)
    monkeypatch.setattr(spans, "CHUNK", 7)
    together = prepare(TOKENIZER, questions, limits, labelled=True, num_workers=2)

    assert as_lists(together) == as_lists(alone)


def test_every_context_is_tokenised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = OffsetTokenizer.__call__

    def counted(self: OffsetTokenizer, texts: list[str]) -> Any:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(OffsetTokenizer, "__call__", counted)
    prepare(TOKENIZER, [Question(str(row), f"a {row}", "b c") for row in range(5)])

    assert seen.count("b c") == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [((67, 128, 64), "max_len=67 leaves no room"), ((384, 0, 64), "doc_stride=0")],
)
def test_limits_that_cannot_be(values: tuple[int, int, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Limits(*values)


def test_columns_are_numbers() -> None:
    windows = prepare(TOKENIZER, [Question("q", "a", "b c")], labelled=True)

    assert windows.features.ids.dtype == np.int32
    assert windows.features.types.dtype == np.uint8
    assert windows.features.labels is not None
    assert windows.features.labels.dtype == np.int64
