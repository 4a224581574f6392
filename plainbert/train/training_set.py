"""What the training loop needs of a training set."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray


class TrainingSet(Protocol):
    """Examples that come in batches.

    Attributes:
        lengths: tokens of each example; (N,).
        identity: what a resumed run compares, to see that it is the same data.
    """

    lengths: NDArray[Any]
    identity: dict[str, Any]

    def batch(self, index: NDArray[np.int64], epoch: int, device: torch.device) -> Any:
        """Some examples as the objective wants them, with a ``layout`` and a length.

        Args:
            index: rows of the set; (B,).
            epoch: pass over the data, from 0, where examples differ between passes.
            device: where the tensors go.
        """
