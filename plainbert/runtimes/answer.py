"""Answer batches with a model of another runtime; no part of plainbert is imported.

    .mx/bin/python -I plainbert/runtimes/answer.py plainbert/export/mxnet/program.py WORDS ...

The program is a Python file whose ``load(*WORDS)`` returns a function of named arrays. Standard
input brings batches: a line of JSON, {name: [type, shape]} of the inputs in their order, then their
bytes. Each is answered by a line, [type, shape], and the bytes of the output. A first line says
that the model is ready. The end of standard input ends the program.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable
from typing import IO, Any

import numpy as np


def main(program: str, *words: str) -> None:
    """Answer batches until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    serve(sys.stdin.buffer, answers, runpy.run_path(program)["load"](*words))


def serve(batches: IO[bytes], answers: IO[bytes], run: Callable[..., Any]) -> None:
    """Answer batch after batch until there are no more.

    Args:
        batches: headers and bytes of inputs, as the module says.
        answers: where headers and bytes of outputs go.
        run: named arrays -> output.
    """
    answers.write(b'"ready"\n')
    answers.flush()
    while line := batches.readline():
        inputs = {name: read(batches, *header) for name, header in json.loads(line).items()}
        output = np.ascontiguousarray(run(**inputs))
        answers.write(json.dumps([output.dtype.str, output.shape]).encode() + b"\n")
        answers.write(output.tobytes())
        answers.flush()


def read(file: IO[bytes], dtype: str, shape: list[int]) -> Any:
    """The next array."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return np.frombuffer(file.read(size), dtype).reshape(shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
