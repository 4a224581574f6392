"""Masked sequences, packed for the model.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`; M is the number of
masked tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plainbert.nn.layout import Packed
from plainbert.nn.names import IGNORE
from plainbert.tasks.pretraining.rows import InstanceRows


class InstanceSource(Protocol):
    """Instances by number; shards on disk, or text that is masked anew in every epoch."""

    lengths: NDArray[Any]

    def rows(self, index: NDArray[np.int64], epoch: int = 0) -> InstanceRows:
        """Some instances, in the order asked for."""


@dataclass(frozen=True)
class PretrainingBatch:
    """Masked sequences end to end, shortest first.

    Attributes:
        ids: (T,), int64.
        types: segment of each token; (T,), int64.
        layout: where each sequence lies.
        masked: sequence and position of each masked token; (M, 2).
        mlm_labels: what the masked tokens were; (M,).
        nsp_labels: 0 where the second segment follows the first, 1 where it does not, ``IGNORE``
            where there is none; (B,).
    """

    ids: Tensor
    types: Tensor
    layout: Packed
    masked: Tensor
    mlm_labels: Tensor
    nsp_labels: Tensor

    def __len__(self) -> int:
        return self.layout.num_sequences


class Instances:
    """Masked sequences, as the training loop wants them.

    Args:
        source: has the instances.
        lengths: of those to use, the first ones; all when not given.
        identity: what a resumed run compares, beside their number.
    """

    def __init__(
        self,
        source: InstanceSource,
        lengths: NDArray[Any] | None = None,
        identity: dict[str, Any] | None = None,
    ) -> None:
        self.source = source
        self.lengths = source.lengths if lengths is None else lengths
        self.identity: dict[str, Any] = {"examples": len(self.lengths), **(identity or {})}

    def masked_share(self) -> float:
        """Masked tokens of all tokens, in the first instances."""
        rows = self.source.rows(np.arange(min(100, len(self.lengths))))
        return len(rows.masked_ids) / max(1, len(rows.ids))

    def batch(self, index: NDArray[np.int64], epoch: int, device: torch.device) -> PretrainingBatch:
        """Pack some instances, sorted by length so that attention has few groups.

        Those of shards that turn out to be damaged are missing, when the source was told to leave
        them out; a batch of nothing else has one token and nothing to predict.
        """
        index = index[np.argsort(self.lengths[index], kind="stable")]
        rows = self.source.rows(index, epoch)
        lengths, ids, types, kinds = rows.lengths, rows.ids, rows.types, rows.next_sentence
        if len(lengths) == 0:
            lengths, kinds = np.ones(1, np.int64), np.full(1, -1)
            ids, types = np.zeros(1, np.int32), np.zeros(1, np.uint8)

        def tensor(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(values.astype(np.int64)).to(device)

        return PretrainingBatch(
            ids=tensor(ids),
            types=tensor(types),
            layout=Packed.of(lengths.astype(np.int64).tolist(), device, bucket_lengths=True),
            masked=tensor(np.stack([rows.masked_sequence, rows.masked_positions], 1)),
            mlm_labels=tensor(rows.masked_ids),
            nsp_labels=tensor(np.where(kinds < 0, IGNORE, kinds)),
        )
