"""An exported model where one of ours is expected: prediction and evaluation take either."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.export.runner import Runner
from plainbert.nn.layout import Layout


class Exported:
    """A model that another runtime computes; see :class:`plainbert.infer.logits.ComputesLogits`.

    Args:
        runner: the exported file, opened.
        config: its sizes and labels.
        head: a name of :data:`plainbert.nn.names.HEADS`.
        max_length: tokens of an input at most.
    """

    device = torch.device("cpu")

    def __init__(self, runner: Runner, config: BertConfig, head: str, max_length: int) -> None:
        self.config, self.head, self.max_length = config, head, max_length
        self._runner = runner
        self._one_at_a_time = threading.Lock()

    def __call__(self, ids: Tensor, types: Tensor | None, layout: Layout, /) -> Tensor:
        """Outputs of a packed batch; (B, ...), or (T, ...) where they are per token.

        Raises:
            UsageError: a sequence is longer than what was exported.
        """
        real = layout.pad(torch.ones_like(ids, dtype=torch.int64))  # (B, L)
        if real.shape[1] > self.max_length:
            raise UsageError(
                f"{real.shape[1]} tokens: this export takes {self.max_length} at most."
            )
        segments = torch.zeros_like(real) if types is None else layout.pad(types.long())
        with self._one_at_a_time:
            outputs = self._runner.run(
                layout.pad(ids.long()).numpy(), segments.numpy(), real.numpy()
            )
        rows = torch.from_numpy(np.ascontiguousarray(outputs, np.float32))
        return layout.unpad(rows) if rows.dim() == 3 else rows
