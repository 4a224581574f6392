"""Goes with predict.py: words of a text with their labels, or the entities that they mark."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

OVERLAP = 1 / 3  # of a window of a long text, with the next one

if TYPE_CHECKING:
    Row = tuple[str, ...]
    Spans = list[tuple[int, int]]


def results(model: Any, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of every row its text, and the entities or labelled words in it."""
    inputs: list[Any] = []
    texts = []
    for text, *_ in rows:
        spans = _words(model, text)
        ids = [model.ids(text[start:stop])[: model.limit - 2] for start, stop in spans]
        best: dict[int, tuple[int, int, int]] = {}  # of each word: context, input, position
        for begin, end in _windows([len(part) for part in ids], model.limit - 2):
            before = [0, *accumulate(len(part) for part in ids[begin:end])]
            for word in range(begin, end):
                left = before[word - begin]
                right = before[-1] - before[word - begin + 1]
                if ids[word] and min(left, right) > best.get(word, (-1,))[0]:
                    best[word] = (min(left, right), len(inputs), left + 1)
            flat = [row for part in ids[begin:end] for row in part]
            inputs.append(([model.begin, *flat, model.end], [0] * (len(flat) + 2)))
        texts.append((text, spans, best))
    outputs = model.outputs(inputs)
    return [
        _tagged(
            model,
            text,
            spans,
            {word: outputs[row][place] for word, (_, row, place) in best.items()},
        )
        for text, spans, best in texts
    ]


def _words(model: Any, text: str) -> Spans:
    """Where the words of a text lie, as the tokenizer takes them."""
    mark, at_first = model.decoding["word_mark"], model.decoding["mark_is_first"]
    _, tokens, spans = model.pieces(text)
    words: Spans = []
    begins = True
    for token, (start, stop) in zip(tokens, spans):
        begins = begins or token.startswith(mark) == at_first
        if start == stop:  # a lone mark of a word's beginning; the word comes next
            continue
        if begins:
            words.append((start, stop))
        else:
            words[-1] = (words[-1][0], max(words[-1][1], stop))
        begins = False
    return words


def _tagged(model: Any, text: str, spans: Spans, logits: dict[int, Any]) -> dict[str, Any]:
    labels, tags = model.about["labels"], model.decoding
    rows, shares = [], []
    for word, (start, _) in enumerate(spans):
        if word not in logits:
            rows.append(tags["nothing"])
            shares.append(0.0)
            continue
        allowed = logits[word].copy()
        touches = word > 0 and spans[word - 1][1] == start
        allowed[tags["never"] + ([] if touches else tags["pieces"])] = -np.inf
        rows.append(int(allowed.argmax()))
        shares.append(float(_softmax(logits[word])[rows[-1]]))
    # "X": the word goes on with the one before.
    firsts = [word for word, row in enumerate(rows) if row not in tags["pieces"]]
    stops = firsts[1:] + [len(rows)]
    if not tags["entities"]:
        names = [labels[rows[firsts[bisect_right(firsts, w) - 1]]] for w in range(len(rows))]
        words = [
            {"text": text[a:b], "start": a, "end": b, "label": name, "score": share}
            for (a, b), name, share in zip(spans, names, shares)
        ]
        return {"text": text, "words": words}
    entities: list[list[Any]] = []
    last = ["O", ""]
    for word, stop in zip(firsts, stops):
        letter, kind = tags["letters"][rows[word]]
        if letter != "O":
            if letter in "BS" or last[0] in "OES" or kind != last[1]:
                entities.append([kind, word, stop])
            else:
                entities[-1][2] = stop
        last = [letter, kind]
    return {
        "text": text,
        "entities": [
            {
                "text": text[spans[word][0] : spans[stop - 1][1]],
                "type": kind,
                "start": spans[word][0],
                "end": spans[stop - 1][1],
                "score": sum(shares[word:stop]) / (stop - word),
            }
            for kind, word, stop in entities
        ],
    }


def _windows(sizes: list[int], budget: int) -> Spans:
    """Ranges of words, of so many pieces each, that overlap and fit into the model."""
    before = [0, *accumulate(sizes)]
    here, bounds = 0, []
    while before[-1] - before[here] > budget:
        there = bisect_right(before, before[here] + budget) - 1
        bounds.append((here, there))
        least = max(before[there] - int(budget * OVERLAP), before[there + 1] - budget)
        here = bisect_left(before, least)
    return [*bounds, (bisect_left(before, before[-1] - budget), len(sizes))] if sizes else []


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
