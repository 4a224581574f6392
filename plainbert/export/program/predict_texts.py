"""Goes with predict.py: one output for a text or a pair: label and probability, number, vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

HALF = 0.5  # probability from which on a text has one of several labels
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "Identity": lambda logits: logits,
    "Sigmoid": lambda logits: 0.5 * np.tanh(0.5 * logits) + 0.5,
    "Tanh": np.tanh,
    "ReLU": lambda logits: np.maximum(logits, 0),
}

if TYPE_CHECKING:
    Row = tuple[str, ...]  # a text, or a pair
    Input = tuple[list[int], list[int]]  # ids, and the segment of each


def results(model: Any, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Of every row its text, and what the model says of it."""
    prompt = model.decoding.get("prompt", "")
    outputs = model.outputs([_input(model, (prompt + row[0], *row[1:])) for row in rows])
    texts = [" ||| ".join(row) for row in rows]
    if model.about["task"] == "embedding":
        kept = model.decoding.get("truncate_dim")
        return [
            {"text": text, "vector": output[..., :kept].tolist()}
            for text, output in zip(texts, outputs)
        ]
    if model.about["task"] == "regression":
        name = model.decoding["activation"]
        scores = map(ACTIVATIONS[name or "Identity"], outputs)
        column = "label" if name else "logit"
        return [{"text": text, column: float(score[0])} for text, score in zip(texts, scores)]
    return [_labelled(model, text, output) for text, output in zip(texts, outputs)]


def _labelled(model: Any, text: str, logits: Any) -> dict[str, Any]:
    labels, several = model.about["labels"], model.about["several"]
    shares = ACTIVATIONS["Sigmoid"](logits) if several else _softmax(logits)
    row = {"text": text, "label": labels[int(shares.argmax())]}
    if several:
        row["labels"] = ",".join(label for label, share in zip(labels, shares) if share >= HALF)
    row.update({f"p({label})": float(share) for label, share in zip(labels, shares)})
    return row


def _input(model: Any, row: Row) -> Input:
    """[CLS] a text [SEP], or [CLS] one [SEP] other [SEP]; the longest text is cut first."""
    parts = [model.ids(text) for text in row]
    surplus = sum(map(len, parts)) - (model.limit - 1 - len(parts))
    model.cut += surplus > 0
    for _ in range(surplus):
        longest = max(map(len, parts))
        [part for part in parts if len(part) == longest][-1].pop()
    ids, types = [model.begin], [0]
    for segment, part in enumerate(parts):
        ids += [*part, model.end]
        types += [segment] * (len(part) + 1)
    return ids, types


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
