"""What recipes return, and how commands print it. Free of torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plainbert.cli.program import command

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


def report_trained(results: Trained, predict: str, words: str) -> None:
    """Print the scores, where the model is, and the command that uses it.

    Args:
        results: of a fine-tune recipe.
        predict: name of the command that predicts.
        words: of its command line, as an example.
    """
    if results.rank > 0:
        return
    for split, scores in results.scores.items():
        print(f"{split}: {line_of(scores)}")
    if results.export is not None:
        print(f"export: {results.export}")
    if results.model is not None:
        print(f"model: {results.model}")
        print(f"next: {command(predict)} --model_dir {shlex.quote(str(results.model))} {words}")
