"""What runs an exported model, whatever its format."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


class Runner(Protocol):
    """An exported model in its own runtime; nothing else computes.

    A context manager: leaving it ends whatever was started.
    """

    def run(self, ids: Ids, types: Ids, mask: Ids) -> Floats:
        """The outputs of one padded batch.

        Args:
            ids: (B, L), ids of the tokens; any at padding.
            types: (B, L), segment of each token.
            mask: (B, L), 1 at tokens, 0 at padding.

        Returns:
            what :meth:`plainbert.export.source.Source.module` returns, from the exported file.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None: ...
