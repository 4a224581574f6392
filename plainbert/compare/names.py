"""What can be compared with, and on which text, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.runtimes.runtime import MXNET, TENSORFLOW, Runtime


@dataclass(frozen=True)
class Engine:
    """Another implementation of BERT.

    Attributes:
        name: what ``--reference`` calls it.
        what: whose code runs.
        runtime: what it needs a Python of its own for; None where it runs in this process.
        format: of the weights that it reads, a name of :data:`plainbert.formats.names.FORMATS`.
        suffix: of the file in that format.
    """

    name: str
    what: str
    runtime: Runtime | None = None
    format: str = "huggingface"
    suffix: str = ""


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("transformers", "Hugging Face's classes, on torch"),
        Engine("mxnet", "GluonNLP's BERTModel, on Apache MXNet", MXNET, "gluonnlp", ".params"),
        Engine(
            "tensorflow",
            "BERT's formula in TensorFlow operations, weights read by TensorFlow",
            TENSORFLOW,
            "tensorflow",
            ".index",
        ),
    )
}
