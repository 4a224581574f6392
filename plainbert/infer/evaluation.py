"""Scores over whole sets: predictions are gathered first, nothing is averaged per batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plainbert.batching.features import Features
from plainbert.infer.logits import PER_TOKEN, ComputesLogits, run, run_tokens
from plainbert.infer.precision import Precision

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
    def __call__(self, model: ComputesLogits) -> Scores:
        """Score a model: set to metric to score. Every rank gets the same."""


class Sharing(Protocol):
    """Processes that each compute some rows of a set, with a model that each can hold whole.

    Attributes:
        rank: of this process, in [0, size).
        size: how many processes there are.
    """

    rank: int
    size: int

    def plain(self, model: Any) -> Any:
        """A model with the same weights that this process holds whole; all must call."""

    def sum(self, tensors: list[Tensor]) -> None:
        """Add tensors up over all processes, in place."""


def logits(
    model: ComputesLogits,
    features: Features,
    dtype: torch.dtype = torch.float32,
    ranks: Sharing | None = None,
    bar: bool = False,
) -> NDArray[np.float32]:
    """Logits of a whole set on every rank; each row is computed by one of them.

    Args:
        model: where it computes; left as it was, in training mode or not.
        features: the set, the same on every rank.
        dtype: of the matrix products.
        ranks: processes that share the rows; this one computes all when None.
        bar: show progress.

    Returns:
        (N, C), or (S, C) of a head with logits per token; float32.
    """
    per_token = model.head in PER_TOKEN
    compute = run_tokens if per_token else run
    if ranks is None or ranks.size == 1:
        return compute(model, features, precision=Precision(dtype), bar=bar)
    mine = np.arange(ranks.rank, len(features), ranks.size)
    plain = ranks.plain(model)
    share = compute(plain, features.take(mine), precision=Precision(dtype), bar=bar)
    whole = np.zeros((len(features.ids if per_token else features), share.shape[1]), np.float32)
    whole[features.token_indices(mine) if per_token else mine] = share
    ranks.sum([torch.from_numpy(whole)])  # in place; the others' rows are zero here
    return whole
