"""Goes with predict.py: the answer to a question, a part of its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Row = tuple[str, ...]  # a question and its text
    Spans = list[tuple[int, int]]


def results(model: Any, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of every row its question, and the answer."""
    limits = model.decoding["limits"]
    inputs: list[Any] = []
    questions: list[Any] = []
    for question, context in rows:
        query = model.ids(question)
        model.cut += len(query) > limits["max_query_length"]
        query = query[: limits["max_query_length"]]
        ids, _, spans = model.pieces(context)
        room = limits["max_len"] - 3 - len(query)
        windows = _slide(len(ids), room, limits["doc_stride"])
        questions.append((question, context, spans, len(query) + 2, windows, len(inputs)))
        for begin, size in windows:
            part = ids[begin : begin + size]
            types = [0] * (len(query) + 2) + [1] * (size + 1)
            inputs.append(([model.begin, *query, model.end, *part, model.end], types))
    outputs = model.outputs(inputs)
    results = []
    for question, context, spans, first, windows, row in questions:
        values = [outputs[row + number].astype(np.float64) for number in range(len(windows))]
        ranked, mass = _candidates(model.decoding["search"], spans, first, windows, values)
        nothing = min(float(value[0].sum()) for value in values)
        results.append({"question": question, **_best(model, context, ranked, mass, nothing)})
    return results


def _candidates(
    search: dict[str, Any], spans: Spans, first: int, windows: Spans, outputs: list[Any]
) -> tuple[list[tuple[float, int, int]], float]:
    """Score and characters of the candidates, and the mass of all that is possible.

    Candidates come in the order in which they are tried; the mass is the logarithm of the sum of
    all powers of scores, what a probability is divided by.

    Args:
        search: how many starts and ends are tried, and how long an answer may be.
        spans: characters of the tokens of the text.
        first: where the text begins in each window.
        windows: first token and size of each.
        outputs: logits of the start and the end, of each window; (L, 2).
    """
    count, longest = search["n_best"], search["max_answer_length"]
    owner, ranked, mass = _owners(windows), [], -np.inf
    for number, ((begin, size), values) in enumerate(zip(windows, outputs)):
        part = values[first : first + size]
        # A token begins an answer only in the window that shows most around it.
        own = np.array([owner[begin + place] == number for place in range(size)], bool)
        begins = np.where(own, part[:, 0], -np.inf)
        for shift in range(min(longest, size)):
            scores = begins[: size - shift] + part[shift:, 1]
            mass = np.logaddexp(mass, np.logaddexp.reduce(scores))
        starts = np.argsort(-begins, kind="stable")[:count]
        ends = np.argsort(-part[:, 1], kind="stable")[:count]
        ranked += [
            (float(part[start, 0] + part[end, 1]), spans[begin + start][0], spans[begin + end][1])
            for start in starts.tolist()
            for end in ends.tolist()
            if own[start] and start <= end < start + longest
        ]
    return ranked, float(mass)


def _best(
    model: Any, context: str, ranked: list[tuple[float, int, int]], mass: float, nothing: float
) -> dict[str, Any]:
    """The answer among the candidates; the score ``nothing`` is that of "no answer"."""
    search = model.decoding["search"]
    different: dict[str, tuple[float, int, int]] = {}
    for candidate in sorted(ranked, key=lambda candidate: -candidate[0]):
        text = context[candidate[1] : candidate[2]]
        if text and len(different) < search["n_best"]:
            different.setdefault(text, candidate)
    text, (score, start, end) = next(iter(different.items()), ("", (-np.inf, 0, 0)))
    if search["null"]:
        mass = float(np.logaddexp(mass, nothing))
        if nothing - score > search["null_threshold"]:
            text, score, start, end = "", nothing, 0, 0
    share = min(1.0, float(np.exp(score - mass))) if score > -np.inf else 0.0
    return {"answer": text, "probability": share, "start": start, "end": end}


def _slide(tokens: int, room: int, stride: int) -> Spans:
    """First token and size of the windows over a text."""
    step = min(room, stride)
    count = 1 + max(0, -(-(tokens - room) // step))
    return [(row * step, min(room, tokens - row * step)) for row in range(count)]


def _owners(windows: Spans) -> dict[int, int]:
    """The window that shows most around each token of a text."""
    best: dict[int, tuple[float, int]] = {}
    for number, (begin, size) in enumerate(windows):
        for place in range(size):
            score = min(place, size - 1 - place) + 0.01 * size
            if score > best.get(begin + place, (-1.0, 0))[0]:
                best[begin + place] = (score, number)
    return {token: number for token, (_, number) in best.items()}
