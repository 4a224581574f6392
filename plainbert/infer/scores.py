"""The logits of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.batch import TOKENS_PER_BATCH, Batch
from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.infer import streams
from plainbert.infer.prepare import is_narrow, prepare, prepared
from plainbert.nn.headed import Headed

PER_SEQUENCE = ("classification", "regression", "next_sentence")


def run(
    model: Headed,
    features: Features,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> NDArray[np.float32]:
    """Logits of every row, in row order; dropout is off, whatever mode the model is in.

    Args:
        model: has a head with logits per sequence. It is not changed: a prepared copy computes,
            unless it is prepared already.
        features: the data set; may be empty.
        device: where the copy computes.
        dtype: of its matrix products.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Returns:
        (N, C), float32.

    Raises:
        UsageError: the head's logits are per token or per choice.
    """
    if model.head not in PER_SEQUENCE:
        raise UsageError(f"a {model.head} head has no logits per row.")
    ready: Any = model if prepared(model) else prepare(model, dtype, device)
    classes = {"regression": 1, "next_sentence": 2}.get(model.head, model.config.num_labels)
    found = np.zeros((len(features), classes), np.float32)
    pair = bool(features.types.any())

    def work(batch: Batch) -> None:
        logits = ready(batch.ids, batch.types if pair else None, batch.layout)
        found[batch.index] = logits.float().cpu().numpy()

    streams.run(work, features, device, tokens_per_batch, bar, is_narrow(ready))
    return found


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax over the classes: (N, C) -> (N, C)."""
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return shares
