"""What recipes return, and how commands print it. Free of torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plainbert.cli.program import command
from plainbert.visible import near

Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Trained:
    """What a fine-tune recipe returns.

    Attributes:
        scores: split ("dev", "test" ...) to metric to score.
        model: folder of the best model; None where nothing was trained.
        export: folder of the exported model; None without ``--export``.
        rank: of this process, of which rank 0 speaks for all.
    """

    scores: dict[str, dict[str, float]]
    model: Path | None
    export: Path | None
    rank: int


def line_of(scores: Mapping[str, float]) -> str:
    """Scores as one line, ``accuracy 0.9123, f1 0.8912``."""
    return ", ".join(f"{name} {score:.4f}" for name, score in scores.items())


def table_of(scores: Scores) -> str:
    """Scores as a table: a line for each metric, a column for each split; no line without any.

    Example:
        >>> print(table_of({"dev": {"accuracy": 0.91, "f1": 0.5}, "test": {"accuracy": 0.9}}))
                     dev    test
        accuracy  0.9100  0.9000
        f1        0.5000
    """
    splits = [split for split, values in scores.items() if values]
    names = list(dict.fromkeys(name for split in splits for name in scores[split]))
    if not names:
        return ""
    first = max(map(len, names))
    cells = [["", *splits]]
    for name in names:
        values = [scores[split].get(name) for split in splits]
        cells.append([name, *("" if value is None else f"{value:.4f}" for value in values)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]
    return "\n".join(map(str.rstrip, lines))


def report_trained(results: Trained, predict: str, words: str) -> None:
    """Print the scores, where the model is, and the command that uses it.

    Args:
        results: of a fine-tune recipe.
        predict: name of the command that predicts.
        words: of its command line, as an example.
    """
    if results.rank > 0:
        return
    if table := table_of(results.scores):
        print(table)
    if results.export is not None:
        print(f"export: {near(results.export)}")
    if results.model is not None:
        print(f"model: {near(results.model)}")
        print(f"next: {command(predict)} --model_dir {shlex.quote(near(results.model))} {words}")
