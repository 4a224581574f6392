"""The logits of a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plainbert.batching.batch import TOKENS_PER_BATCH, Batch
from plainbert.batching.features import Features
from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.infer import threads
from plainbert.infer.precision import FLOAT32, Precision
from plainbert.infer.prepare import precision_of, prepare
from plainbert.nn.headed import Headed
from plainbert.nn.layout import Layout

PER_SEQUENCE = ("classification", "regression", "next_sentence")
PER_TOKEN = ("question_answering", "token_classification")


class ComputesLogits(Protocol):
    """What gives logits: a model with a head, prepared or not, or an exported one.

    Attributes:
        head: a name of :data:`plainbert.nn.names.HEADS`.
        config: sizes and labels.
        device: where it computes.
    """

    @property
    def head(self) -> str: ...
    @property
    def config(self) -> BertConfig: ...
    @property
    def device(self) -> torch.device: ...

    def __call__(self, ids: Tensor, types: Tensor | None, layout: Layout, /) -> Any:
        """Logits (float tensors) of a packed batch: (B, C), or (T, C) where they are per token."""


def run(
    model: ComputesLogits,
    features: Features,
    *,
    precision: Precision = FLOAT32,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> NDArray[np.float32]:
    """Logits of every row, in row order; dropout is off, whatever mode the model is in.

    Args:
        model: has a head with logits per sequence. A model of :mod:`plainbert.nn` is not changed:
            a prepared copy computes, where the model is, unless it is prepared already.
        features: the data set; may be empty.
        precision: of its matrix products.
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
    rows = np.zeros((len(features), classes), np.float32)
    return _fill(rows, lambda index: index, model, features, precision, tokens_per_batch, bar)


def run_tokens(
    model: ComputesLogits,
    features: Features,
    *,
    precision: Precision = FLOAT32,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> NDArray[np.float32]:
    """Logits of every token, in the order of ``features.ids``.

    Args:
        model: has a head with logits per token. A model of :mod:`plainbert.nn` is not changed: a
            prepared copy computes, where the model is, unless it is prepared already.
        features: the data set; may be empty.
        precision: of its matrix products.
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
    rows = np.zeros((len(features.ids), classes), np.float32)
    where = features.token_indices
    return _fill(rows, where, model, features, precision, tokens_per_batch, bar)


def _fill(
    rows: NDArray[np.float32],
    where: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    model: ComputesLogits,
    features: Features,
    precision: Precision,
    tokens_per_batch: int,
    bar: bool,
) -> NDArray[np.float32]:
    """Write the logits of every batch into ``rows``, at what ``where`` makes of its row numbers."""
    ready = model
    if isinstance(model, Headed):
        own = precision_of(model)
        if own is None:
            ready = prepare(model, precision, model.device)
        precision = own or precision
    pair = bool(features.types.any())

    def work(batch: Batch) -> None:
        logits = ready(batch.ids, batch.types if pair else None, batch.layout)
        rows[where(batch.index)] = logits.float().cpu().numpy()

    threads.run(work, features, model.device, tokens_per_batch, bar, precision)
    return rows


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax over the classes: (N, C) -> (N, C)."""
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return shares


def each_alone(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The sigmoid of each logit, in its shape: the probability of each label by itself."""
    shares: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
    return shares
