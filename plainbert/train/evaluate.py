"""Scores over whole sets: predictions are gathered first, nothing is averaged per batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.infer import scores
from plainbert.metrics import rows as metrics
from plainbert.nn.headed import Headed

RESULTS_FILE = "eval_results.json"  # in the run folder
Scores = dict[str, dict[str, float]]


class Evaluation(ABC):
    """How good a model is, for the training loop.

    Attributes:
        chooses: the score that picks the best checkpoint, averaged over the sets.
        better: +1 when more of it is better, -1 when less is.
    """

    chooses: str
    better: int

    @abstractmethod
    def __call__(self, model: Headed) -> Scores:
        """Score a model: set to metric to score. Every rank gets the same."""


class Predictions(Evaluation):
    """Metrics of a classifier or regressor on labelled sets.

    Args:
        sets: features with labels, by the name of the split; at least one.
        names: metrics; the first one chooses.
        dtype: of the matrix products.
    """

    def __init__(
        self, sets: Mapping[str, Features], names: Sequence[str], dtype: torch.dtype
    ) -> None:
        if not names:
            raise UsageError("sets to evaluate, but no metric to evaluate them by.")
        self.sets, self.names, self.dtype = sets, names, dtype
        self.chooses, self.better = names[0], metrics.better(names[0])

    def __call__(self, model: Headed) -> Scores:
        device = next(model.parameters()).device
        return evaluate(model, self.sets, self.names, device, self.dtype)


def evaluate(
    model: Headed,
    sets: Mapping[str, Features],
    names: Sequence[str],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Scores:
    """Score a classifier or a regressor.

    Args:
        model: left as it was, in training mode or not.
        sets: features with labels, by the name of the split.
        names: metrics.
        device: where to compute.
        dtype: of the matrix products.

    Returns:
        metric to score, for every set.
    """
    found = {}
    for split, features in sets.items():
        logits = scores.run(model, features, device=torch.device(device), dtype=dtype)
        assert features.labels is not None
        found[split] = metrics.compute(names, decide(logits), features.labels)
    return found


def decide(logits: NDArray[Any]) -> NDArray[Any]:
    """The class, or the number, that logits stand for: (N, C) -> (N,)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    chosen: NDArray[np.int64] = logits.argmax(1)
    return chosen
