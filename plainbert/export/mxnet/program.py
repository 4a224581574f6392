r"""Run an exported graph on Apache MXNet for another process; no part of plainbert is imported.

.mx/bin/python -I plainbert/runtimes/answer.py plainbert/export/mxnet/program.py \
        NAME-symbol.json NAME-0000.params
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load(symbol: str, weights: str) -> Callable[..., Any]:
    """The graph as a function of its inputs, which come in their order."""
    import mxnet as mx

    inputs = ["data0", "data1", "data2"]
    model = mx.gluon.SymbolBlock.imports(symbol, inputs, weights, ctx=mx.cpu())
    model.hybridize(static_alloc=True)

    def run(**arrays: Any) -> Any:
        # As GluonNLP's scripts feed their models.
        return model(*(mx.nd.array(array, dtype="float32") for array in arrays.values())).asnumpy()

    return run
