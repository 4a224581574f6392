"""What can be compared with, and on which text, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """Another implementation of BERT.

    Attributes:
        name: what ``--reference`` calls it.
        what: whose code runs.
        install: commands that make its environment; empty where it runs in this process.
        variable: environment variable that names the Python which has it.
        folder: the virtual environment that is looked for in the working directory.
        format: of the weights that it reads, a name of :data:`plainbert.formats.names.FORMATS`.
        suffix: of the file in that format.
    """

    name: str
    what: str
    install: tuple[str, ...] = ()
    variable: str = ""
    folder: str = ""
    format: str = "huggingface"
    suffix: str = ""


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("transformers", "Hugging Face's classes, on torch"),
        Engine(
            "mxnet", "GluonNLP's BERTModel, on Apache MXNet",
            ("python3.11 -m venv .mx && .mx/bin/pip install numpy==1.23.5 mxnet==1.9.1",
             ".mx/bin/pip install gluonnlp==0.10.0"),
            "PLAINBERT_MXNET", ".mx", "gluonnlp", ".params",
        ),
        Engine(
            "tensorflow", "BERT's formula in TensorFlow operations, weights read by TensorFlow",
            ("python3 -m venv .tf && .tf/bin/pip install tensorflow-cpu",),
            "PLAINBERT_TENSORFLOW", ".tf", "tensorflow", ".index",
        ),
    )
}  # fmt: skip

# Of different lengths, some of them pairs. Short enough for models of 32 positions, as tests have.
TEXTS: tuple[tuple[str, ...], ...] = (
    ("The river rose quickly after the storm.",),
    ("Who wrote the letter?", "Her sister wrote it in 1912, but it was never sent."),
    ("A man is playing a guitar.", "Someone plays music."),
    ("Interest rates went up again, and borrowing money has become more expensive.",),
    ("Rain.",),
    ("How far is it?", "Seven miles."),
)
