"""Goes with predict.py: the model in Apache MXNet.

Python 3.8 to 3.11. Lines that MXNet prints about types are harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(folder: Path, about: dict[str, Any]) -> Callable[..., Any]:
    """The model as a function of padded ids, types and mask, each (B, L).

    Args:
        folder: of the export.
        about: the content of manifest.json.
    """
    import mxnet as mx

    symbol, weights = (f"{folder / about['task']}{end}" for end in ("-symbol.json", "-0000.params"))
    model = mx.gluon.SymbolBlock.imports(symbol, ["data0", "data1", "data2"], weights)

    def run(ids: Any, types: Any, mask: Any) -> Any:
        inputs = (ids, types, mask.sum(1))
        return model(*(mx.nd.array(array) for array in inputs)).asnumpy()

    return run
