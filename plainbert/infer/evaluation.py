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
from plainbert.infer import logits as scores
from plainbert.nn.headed import Headed
from plainbert.tasks.classification import scores as metrics
from plainbert.train.parallel.strategy import ALONE, Ranks

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
        ranks: they share the rows.
    """

    def __init__(
        self,
        sets: Mapping[str, Features],
        names: Sequence[str],
        dtype: torch.dtype,
        ranks: Ranks = ALONE,
    ) -> None:
        if not names:
            raise UsageError("sets to evaluate, but no metric to evaluate them by.")
        self.sets, self.names, self.dtype, self.ranks = sets, names, dtype, ranks
        self.chooses, self.better = names[0], metrics.better(names[0])

    def __call__(self, model: Headed) -> Scores:
        return evaluate(model, self.sets, self.names, self.dtype, self.ranks)


def evaluate(
    model: Headed,
    sets: Mapping[str, Features],
    names: Sequence[str],
    dtype: torch.dtype = torch.float32,
    ranks: Ranks = ALONE,
) -> Scores:
    """Score a classifier or a regressor.

    Args:
        model: left as it was, in training mode or not.
        sets: features with labels, by the name of the split.
        names: metrics.
        dtype: of the matrix products.
        ranks: they share the rows.

    Returns:
        metric to score, for every set.
    """
    found = {}
    for split, features in sets.items():
        assert features.labels is not None
        found[split] = metrics.compute(
            names, decide(logits(model, features, dtype, ranks)), features.labels
        )
    return found


def logits(
    model: Headed,
    features: Features,
    dtype: torch.dtype = torch.float32,
    ranks: Ranks = ALONE,
    bar: bool = False,
) -> NDArray[np.float32]:
    """Logits of a whole set on every rank; each row is computed by one of them.

    Args:
        model: where it computes; left as it was, in training mode or not.
        features: the set, the same on every rank.
        dtype: of the matrix products.
        ranks: they share the rows.
        bar: show progress.

    Returns:
        (N, C), or (S, C) of a head with logits per token; float32.
    """
    device = next(model.parameters()).device
    per_token = model.head in scores.PER_TOKEN
    run = scores.run_tokens if per_token else scores.run
    if ranks.size == 1:
        return run(model, features, device=device, dtype=dtype, bar=bar)
    mine = np.arange(ranks.rank, len(features), ranks.size)
    plain = ranks.plain(model)
    share = run(plain, features.take(mine), device=device, dtype=dtype, bar=bar)
    found = np.zeros((len(features.ids if per_token else features), share.shape[1]), np.float32)
    found[features.places(mine) if per_token else mine] = share
    ranks.sum([torch.from_numpy(found)])  # in place; the others' rows are zero here
    return found


def decide(logits: NDArray[Any]) -> NDArray[Any]:
    """The class, or the number, that logits stand for: (N, C) -> (N,)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    chosen: NDArray[np.int64] = logits.argmax(1)
    return chosen
