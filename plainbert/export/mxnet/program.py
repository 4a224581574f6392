"""Run an exported graph on Apache MXNet for another process; no part of plainbert is imported.

    .mx/bin/python -I plainbert/export/mxnet/program.py NAME-symbol.json NAME-0000.params

Standard input brings batches: a line of JSON, {name: [type, shape]} of the inputs in their order,
then their bytes. Each is answered by a line, [type, shape], and the bytes of the output. A first
line says that the graph is ready. The end of standard input ends the program.
"""

from __future__ import annotations

import json
import os
import sys
from typing import IO, Any

import numpy as np


def main(symbol: str, weights: str) -> None:
    """Answer batches until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    import mxnet as mx

    inputs = ["data0", "data1", "data2"]
    model = mx.gluon.SymbolBlock.imports(symbol, inputs, weights, ctx=mx.cpu())
    model.hybridize(static_alloc=True)
    answers.write(b'"ready"\n')
    answers.flush()
    batches = sys.stdin.buffer
    while line := batches.readline():
        given = [read(batches, *each) for each in json.loads(line).values()]
        # As GluonNLP's scripts feed their models.
        found = model(*(mx.nd.array(each, dtype="float32") for each in given)).asnumpy()
        answers.write(json.dumps([found.dtype.str, found.shape]).encode() + b"\n")
        answers.write(found.tobytes())
        answers.flush()


def read(file: IO[bytes], dtype: str, shape: list[int]) -> Any:
    """The next array."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return np.frombuffer(file.read(size), dtype).reshape(shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
