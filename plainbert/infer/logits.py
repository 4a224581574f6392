"""The logits of a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.batch import TOKENS_PER_BATCH, Batch
from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.infer import threads
from plainbert.infer.prepare import is_narrow, prepare, prepared
from plainbert.nn.headed import Headed

PER_SEQUENCE = ("classification", "regression", "next_sentence")
PER_TOKEN = ("question_answering", "token_classification")


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
    classes = {"regression": 1, "next_sentence": 2}.get(model.head, model.config.num_labels)
    found = np.zeros((len(features), classes), np.float32)

    def keep(batch: Batch, logits: NDArray[np.float32]) -> None:
        found[batch.index] = logits

    _run(model, features, keep, device, dtype, tokens_per_batch, bar)
    return found


def run_tokens(
    model: Headed,
    features: Features,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> NDArray[np.float32]:
    """Logits of every token, in the order of ``features.ids``.

    Args:
        model: has a head with logits per token; the rest is as for :func:`run`.
        features: the data set; may be empty.
        device: where the copy computes.
        dtype: of its matrix products.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Returns:
        (S, C), float32; C is 2, start and end, for answers.

    Raises:
        UsageError: the head's logits are per sequence or per choice.
    """
    if model.head not in PER_TOKEN:
        raise UsageError(f"a {model.head} head has no logits per token.")
    classes = 2 if model.head == "question_answering" else model.config.num_labels
    found = np.zeros((len(features.ids), classes), np.float32)

    def keep(batch: Batch, logits: NDArray[np.float32]) -> None:
        found[features.places(batch.index)] = logits

    _run(model, features, keep, device, dtype, tokens_per_batch, bar)
    return found


def _run(
    model: Headed,
    features: Features,
    keep: Callable[[Batch, NDArray[np.float32]], None],
    device: torch.device | str,
    dtype: torch.dtype,
    tokens_per_batch: int,
    bar: bool,
) -> None:
    """Call a function with every batch and its logits."""
    ready: Any = model if prepared(model) else prepare(model, dtype, device)
    pair = bool(features.types.any())

    def work(batch: Batch) -> None:
        logits = ready(batch.ids, batch.types if pair else None, batch.layout)
        keep(batch, logits.float().cpu().numpy())

    threads.run(work, features, device, tokens_per_batch, bar, is_narrow(ready))


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax over the classes: (N, C) -> (N, C)."""
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return shares
