"""An exported model where one of ours is expected: prediction and evaluation take either."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.export.runner import Runner
from plainbert.nn.headed import Headed
from plainbert.nn.layout import Layout


class Exported(Headed):
    """A model that another runtime computes; on the CPU, for inference.

    Args:
        runner: the exported file, opened.
        config: its sizes and labels.
        head: a name of :data:`plainbert.nn.names.HEADS`.
        max_length: tokens of an input at most.
    """

    ready = True  # nothing here could be prepared

    def __init__(self, runner: Runner, config: BertConfig, head: str, max_length: int) -> None:
        nn.Module.__init__(self)  # not Headed's: it has no weights
        self.config = config
        self.head = head  # type: ignore[misc]
        self.max_length = max_length
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # says: the CPU
        self._runner = runner
        self._one_at_a_time = threading.Lock()

    def forward(self, ids: Tensor, types: Tensor | None, layout: Layout) -> Tensor:
        """The outputs of a packed batch, packed where they are per token.

        Raises:
            UsageError: a sequence is longer than what was exported.
        """
        lengths = layout.lengths()
        real = torch.arange(int(lengths.max())) < lengths[:, None]  # (B, L)
        if real.shape[1] > self.max_length:
            raise UsageError(
                f"{real.shape[1]} tokens: this export takes {self.max_length} at most."
            )

        def spread(packed: Tensor | None) -> Any:
            padded = torch.zeros(real.shape, dtype=torch.int64)
            return (padded if packed is None else padded.masked_scatter_(real, packed)).numpy()

        with self._one_at_a_time:
            found = self._runner.run(
                spread(ids.long()),
                spread(None if types is None else types.long()),
                real.numpy().astype(np.int64),
            )
        outputs = torch.from_numpy(np.ascontiguousarray(found, np.float32))
        per_token = outputs.dim() == 3
        return outputs[real] if per_token else outputs
