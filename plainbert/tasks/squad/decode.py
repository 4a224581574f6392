"""Answers out of the start and end logits of windows.

Letters: Q questions, N windows, S tokens of all windows, n candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import arguments
from plainbert.infer import finite
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.spans import candidates, lowest_null, span_mass
from plainbert.tasks.squad.windows import Windows

PAIRS = 400_000  # of starts and ends that are in memory at a time
HOPELESS = 1e4  # score difference of a question without any candidate: above all logits, finite


@dataclass(frozen=True, slots=True)
class Span:
    """A possible answer.

    Attributes:
        text: ``context[start:end]``; "" with ``start == end == 0``: there is no answer.
        start: its first character in the context.
        end: the character after its last one.
        probability: softmax of the scores of all spans that are possible, however many candidates
            are kept: those of every window, and "no answer" where it is possible.
        start_logit: of its first token.
        end_logit: of its last token.
    """

    text: str
    start: int
    end: int
    probability: float
    start_logit: float
    end_logit: float

    @property
    def score(self) -> float:
        """What candidates are ordered by."""
        return self.start_logit + self.end_logit


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answers to a question.

    Attributes:
        id: of the question.
        text: the answer, an exact part of the context; "" when there is none.
        start: its first character in the context.
        end: the character after its last one.
        probability: of this answer among all spans that are possible.
        nbest: the best candidates with different texts, the best first; with ``null`` "no answer"
            is one more of them.
        best: the best candidate that is an answer; None where the context has no token for one.
        null_odds: score of "no answer" minus that of ``best``; None unless it was asked for.
        na_prob: probability of "no answer" against ``best``: it grows with ``null_odds``.
    """

    id: str
    text: str
    start: int
    end: int
    probability: float
    nbest: tuple[Span, ...]
    best: Span | None
    null_odds: float | None = None
    na_prob: float | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> Answer:
        """The answer that ``dataclasses.asdict`` took apart."""
        best = values["best"]
        spans = {
            "nbest": tuple(Span(**span) for span in values["nbest"]),
            "best": None if best is None else Span(**best),
        }
        return cls(**{**values, **spans})


@dataclass(frozen=True)
class Search:
    """How answers are looked for.

    Attributes:
        n_best: starts and ends that are tried per window, and candidates kept per question.
        max_answer_length: tokens of an answer at most.
        null: whether "no answer" is a possible answer (SQuAD 2.0).
        null_threshold: it is given where ``null_odds`` is above this.
    """

    n_best: int = 20
    max_answer_length: int = 30
    null: bool = False
    null_threshold: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n_best", "max_answer_length"):
            arguments.whole(name, getattr(self, name))
        arguments.number("null_threshold", self.null_threshold)


def decode(
    logits: NDArray[np.floating], windows: Windows, questions: Sequence[Question], search: Search
) -> list[Answer]:
    """The answer to every question, in order.

    Starts must be tokens of the context that no other window shows with more context around, ends
    tokens of the context; the best ``n_best`` of each are tried in every window. Google's script
    looks for the best among all tokens first and then drops those of the question, and so loses
    candidates; these are all of Google's and more.

    Args:
        logits: of the start and of the end, by token; (S, 2).
        windows: the windows of the questions, in order.
        questions: Q of them.
        search: how answers are looked for.

    Raises:
        NotFiniteError: logits are not finite; the questions are named.

    Source:
        google-research/bert, run_squad.py, ``write_predictions``.
    """
    finite.check(
        logits,
        lambda row: f"question {questions[row].id}",
        lambda: np.repeat(windows.question, windows.features.lengths),
    )
    answers: list[Answer] = []
    together = max(1, PAIRS // search.n_best**2)  # windows
    bounds = np.searchsorted(windows.question, np.arange(len(questions) + 1))
    begin = 0
    while begin < len(questions):
        # As many whole questions as fit; one with more windows goes by itself.
        stop = int(np.searchsorted(bounds, bounds[begin] + together, "right")) - 1
        stop = max(begin + 1, stop)
        part = slice(int(bounds[begin]), int(bounds[stop]))
        answers += _answer_some(logits, windows, questions, range(begin, stop), part, search)
        begin = stop
    return answers


def _answer_some(
    logits: NDArray[np.floating],
    windows: Windows,
    questions: Sequence[Question],
    rows: range,
    part: slice,
    search: Search,
) -> Iterator[Answer]:
    """Answers to the questions ``rows``, which have the windows ``part``."""
    start, end, null = _allowed(logits, windows, part)
    window, firsts, lasts = candidates(start, end, search.n_best, search.max_answer_length)
    start_logits, end_logits = start[window, firsts], end[window, lasts]
    owner = windows.question[part] - rows.start  # of each window
    question = owner[window]  # of each candidate
    # Stable: of candidates with equal scores the one that was tried first comes first.
    order = np.lexsort((-(start_logits + end_logits), question))
    shift = windows.first_row[part] - windows.first[part]  # place in a window -> token row
    begin_chars = windows.start[shift[window] + firsts]
    end_chars = windows.end[shift[window] + lasts]
    columns = [
        column[order].tolist() for column in (begin_chars, end_chars, start_logits, end_logits)
    ]
    cuts = np.searchsorted(question[order], np.arange(len(rows) + 1)).tolist()
    lowest = lowest_null(null, owner, len(rows)).tolist()
    masses = np.full(len(rows), -np.inf)
    np.logaddexp.at(masses, owner, span_mass(start, end, search.max_answer_length))
    for number, row in enumerate(rows):
        # Plain lists: most questions need few candidates until enough texts are different.
        ranked = zip(*(column[cuts[number] : cuts[number + 1]] for column in columns), strict=True)
        spans = _different(questions[row].context, ranked, search.n_best)
        none = (lowest[number][0], lowest[number][1]) if search.null else None
        yield _answer(questions[row].id, spans, none, float(masses[number]), search)


def _allowed(
    logits: NDArray[np.floating], windows: Windows, part: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Logits of the windows ``part`` as pad rows, -inf where no answer may start or end.

    Returns:
        of the start, (N, L), of the end, (N, L), and both of [CLS], "no answer", (N, 2).
    """
    offsets = windows.features.offsets[part.start : part.stop + 1]
    lengths = np.diff(offsets)
    positions = np.arange(int(lengths.max()))
    real = positions < lengths[:, None]
    start, end = (np.full(real.shape, -np.inf) for _ in range(2))
    # float64 before any two are added: probabilities are then those of Google's script.
    packed = logits[offsets[0] : offsets[-1]].astype(np.float64)
    start[real], end[real] = packed[:, 0], packed[:, 1]
    null = np.stack([start[:, 0], end[:, 0]], 1)
    first, max_context = windows.first[part, None], windows.max_context[part]
    # A token that several windows show is a start only where it has most context around, so that
    # no span is tried twice; its end may lie anywhere behind, up to the last [SEP].
    start[(positions < max_context[:, :1]) | (positions >= max_context[:, 1:])] = -np.inf
    end[(positions < first) | (positions >= lengths[:, None] - 1)] = -np.inf
    return start, end, null


def _different(
    context: str, ranked: Iterator[tuple[int, int, float, float]], count: int
) -> list[tuple[str, int, int, float, float]]:
    """The first ``count`` candidates with different texts."""
    seen: set[str] = set()
    kept = []
    for start, end, start_logit, end_logit in ranked:
        text = context[start:end]
        if text and text not in seen:
            seen.add(text)
            kept.append((text, start, end, start_logit, end_logit))
            if len(kept) == count:
                break
    return kept


def _answer(
    name: str,
    spans: list[tuple[str, int, int, float, float]],
    none: tuple[float, float] | None,
    mass: float,
    search: Search,
) -> Answer:
    """The answer, given candidates (best first), the logits of "no answer" and all spans' mass."""
    if none is not None:
        score = none[0] + none[1]
        place = sum(span[3] + span[4] >= score for span in spans)
        spans = [*spans[:place], ("", 0, 0, *none), *spans[place:]]
        mass = float(np.logaddexp(mass, score))
    if spans:
        mass = max(mass, spans[0][3] + spans[0][4])  # whatever was rounded
    nbest = tuple(
        Span(text, start, end, math.exp(start_logit + end_logit - mass), start_logit, end_logit)
        for text, start, end, start_logit, end_logit in spans
    )
    best = next((span for span in nbest if span.text), None)
    if none is None:
        chosen = best
        odds = na_prob = None
    else:
        odds = HOPELESS if best is None else none[0] + none[1] - best.score
        na_prob = _sigmoid(odds)
        empty = next(span for span in nbest if not span.text)
        chosen = empty if odds > search.null_threshold else best
    if chosen is None:
        chosen = Span("", 0, 0, 0.0, 0.0, 0.0)  # the context has no token
    return Answer(
        id=name,
        text=chosen.text,
        start=chosen.start,
        end=chosen.end,
        probability=chosen.probability,
        nbest=nbest,
        best=best,
        null_odds=odds,
        na_prob=na_prob,
    )


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    power = math.exp(value)
    return power / (1 + power)
