"""Rows of features, packed for the model; and how to cut a data set into batches to infer.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plainbert.batching.features import Features
from plainbert.errors import UsageError
from plainbert.nn.layout import Packed

# Tokens of one inference batch: enough for full matrix products, few enough to stay in the cache.
TOKENS_PER_BATCH = 1024
FULL = 15 / 16  # of a batch that may end where a run of equal lengths ends


@dataclass(frozen=True)
class Batch:
    """Sequences end to end, shortest first.

    Attributes:
        ids: (T,), int64.
        types: segment of each token; (T,), int64.
        layout: where each sequence lies among the tokens.
        labels: (B,) or (B, ...), or (T,) if there is one for each token; or None.
        index: row of each sequence in the features; (B,).
    """

    ids: Tensor
    types: Tensor
    layout: Packed
    labels: Tensor | None
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)


def collate(
    features: Features,
    index: NDArray[np.int64],
    device: torch.device | str = "cpu",
    bucket_lengths: bool = False,
) -> Batch:
    """Pack rows of features into one batch, sorted by length so that attention has few groups.

    Args:
        features: the data set.
        index: rows of the data set; (B,), at least one.
        device: where the tensors of the batch go.
        bucket_lengths: give attention few different lengths, for training, at the cost of some
            padding; False: equal lengths attend without any.
    """
    lengths = features.lengths[index]
    order = np.argsort(lengths, kind="stable")
    index, lengths = index[order], lengths[order]
    indices = features.token_indices(index)
    ids = torch.from_numpy(features.ids[indices].astype(np.int64)).to(device)
    types = torch.from_numpy(features.types[indices].astype(np.int64)).to(device)
    labels = None
    if features.labels is not None:
        chosen = features.labels[indices if features.per_token else index]
        labels = torch.from_numpy(chosen).to(device)
    return Batch(ids, types, Packed.of(lengths.tolist(), device, bucket_lengths), labels, index)


class Examples:
    """A labelled data set, as the training loop wants it.

    Args:
        features: the rows, with labels.

    Raises:
        UsageError: the features have no labels.
    """

    def __init__(self, features: Features) -> None:
        if features.labels is None:
            raise UsageError("the training set has no labels.")
        self.features = features
        self.lengths = features.lengths
        self.identity: dict[str, Any] = {
            "examples": len(features),
            "data": features.fingerprint(),
        }

    def batch(self, index: NDArray[np.int64], epoch: int, device: torch.device) -> Batch:
        """Pack some rows; they are the same in every epoch."""
        return collate(self.features, index, device, bucket_lengths=True)


def inference_batches(
    lengths: Sequence[int] | NDArray[np.int64], tokens_per_batch: int = TOKENS_PER_BATCH
) -> list[NDArray[np.int64]]:
    """Cut a data set into batches of about equal work: every row once, longest first.

    Rows are sorted by length. A batch ends where a run of equal lengths ends, if that leaves it
    nearly full: rows of one length need no padding at all. The longest come first, so that
    memory that does not suffice is found out at once.

    Args:
        lengths: tokens of each row; (N,).
        tokens_per_batch: most tokens of a batch; a longer row is a batch of its own.

    Returns:
        the rows of every batch; (B,) each.

    Raises:
        UsageError: ``tokens_per_batch`` is not positive.
    """
    if tokens_per_batch < 1:
        raise UsageError(f"tokens_per_batch={tokens_per_batch}: at least 1 token is expected.")
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    sizes = sizes[order]
    ends = sizes.cumsum()
    run_starts = np.flatnonzero(np.diff(sizes, prepend=-1))
    batches, start, done = [], 0, 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, done + tokens_per_batch, "right")))
        if stop < len(order):
            run = int(run_starts[np.searchsorted(run_starts, stop, "right") - 1])
            if run > start and ends[run - 1] - done >= tokens_per_batch * FULL:
                stop = run
        batches.append(order[start:stop])
        start, done = stop, int(ends[stop - 1])
    return batches
