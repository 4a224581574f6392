"""Scores of labelled sets as they are kept, and as tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MOST_CLASSES = 12  # of a confusion that is shown whole
MOST_PAIRS = 20  # of classes taken for each other, where there are more

Report = dict[str, dict[str, float]]
Confusion = dict[str, dict[str, int]]


@dataclass(frozen=True)
class SetScores:
    """How good a model is on one labelled set.

    Attributes:
        rows: rows, sentences or questions that were scored.
        scores: metric to score, over the whole set.
        by_label: precision, recall, f1 and support of every class, label or type of entity; empty
            where there are none.
        confusion: right class to predicted class to rows, without zeros; empty where a row has
            several labels or none.
    """

    rows: int
    scores: dict[str, float]
    by_label: Report = field(default_factory=dict)
    confusion: Confusion = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """In words that JSON has."""
        return asdict(self)


def format_report(scores: Report) -> str:
    """Scores of every label as text, one line a label under a header."""
    width = max(5, *(len(name) for name in scores))
    lines = [f"{'label':<{width}}  precision  recall     f1  rows"]
    lines += [
        f"{name:<{width}}  {row['precision']:9.4f}  {row['recall']:6.4f} {row['f1']:6.4f} "
        f"{row['support']:5.0f}"
        for name, row in scores.items()
    ]
    return "\n".join(lines)


def format_confusion(confusion: Confusion, labels: list[str]) -> str:
    """Which classes are taken for which: all of them, or the commonest mistakes of many.

    Args:
        confusion: right class to predicted class to rows.
        labels: the classes, in the order of the table.
    """
    if len(labels) > MOST_CLASSES:
        mistakes = [
            (count, right, predicted)
            for right, row in confusion.items()
            for predicted, count in row.items()
            if right != predicted
        ]
        lines = [
            f"{count:>8}  {right} -> {predicted}"
            for count, right, predicted in sorted(mistakes, key=lambda mistake: -mistake[0])
        ]
        return "\n".join(["    rows  right -> predicted", *lines[:MOST_PAIRS]])
    first = max(len("right \\ predicted"), *map(len, labels))
    widths = [max(5, len(label)) for label in labels]
    header = "  ".join(f"{label:>{width}}" for label, width in zip(labels, widths, strict=True))
    lines = ["right \\ predicted".ljust(first) + f"  {header}"]
    for right in labels:
        counts = (confusion.get(right, {}).get(label, 0) for label in labels)
        cells = (f"{count:>{width}}" for count, width in zip(counts, widths, strict=True))
        lines.append(f"{right:<{first}}  " + "  ".join(cells))
    return "\n".join(lines)


def format_scores(results: SetScores) -> str:
    """Every table that a set has; empty where it has none."""
    parts = []
    if results.by_label:
        parts.append(format_report(results.by_label))
    if results.confusion:
        parts.append(format_confusion(results.confusion, list(results.by_label)))
    return "\n\n".join(parts)
