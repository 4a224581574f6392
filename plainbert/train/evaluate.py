"""Scores over whole sets: predictions are gathered first, nothing is averaged per batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert import metrics
from plainbert.batching.features import Features
from plainbert.infer import scores
from plainbert.nn.headed import Headed


def evaluate(
    model: Headed,
    sets: Mapping[str, Features],
    names: Sequence[str],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> dict[str, dict[str, float]]:
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
