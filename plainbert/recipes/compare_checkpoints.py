r"""Compare two checkpoints on the same text, layer by layer; or one with another engine.

Two checkpoints of any formats (folders, GluonNLP or TensorFlow files, published names):

    python scripts/bert/compare_checkpoints.py runs/mrpc/best converted/mrpc

A checkpoint with what Hugging Face's own classes make of it, as a picture and as JSON too:

    python scripts/bert/compare_checkpoints.py all-MiniLM-L6-v2 --reference transformers \
        --plot layers.png --output report.json

With real GluonNLP on MXNet, or with TensorFlow, each in a Python of its own:

    python scripts/bert/compare_checkpoints.py bert_base.params --reference mxnet
    python scripts/bert/compare_checkpoints.py uncased_L-12_H-768_A-12 --reference tensorflow \
        --reference_python .tf/bin/python

Compared are the embeddings' and every layer's output, the pooled vector, and the heads that both
have: logits of masked words (of the tokens that both vocabularies have), next sentence, classes or
tags (matched by label), answers, and the loss of a fixed answer. Padding is never compared. A line
of --file is a text, "first ||| second" a pair; without texts, a few of ours are used.

Exit status: 0 equal, 1 a difference is above --tolerance, 2 the comparison could not be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert.cli import values
from plainbert.cli.parser import Parser
from plainbert.cli.settings import no_flag, option
from plainbert.compare.names import ENGINES
from plainbert.nn.names import HEADS, OLD_NAMES
from plainbert.recipes.shared import command, flags, texts
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    OutputFlags,
    TextsFlags,
    ThreadsFlags,
)
from plainbert.text.samples import TEXTS

if TYPE_CHECKING:
    from plainbert.compare.models import Report

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Settings(ThreadsFlags, OutputFlags, TextsFlags, CheckpointFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: two of them, or one and an engine": ("checkpoints", "reference"),
        "what people set": (
            "sentences", "file", "text_columns", "max_len", "tolerance", "dtype", "head", "vocab",
        ),
        "output": ("output", "plot", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "reference": "required with one checkpoint",
        "sentences": "texts of our own",
        "file": "texts of our own",
        "max_len": "what both take",
        "head": "the one that has all their weights",
        "plot": "none",
    }

    checkpoints: tuple[str, ...] = no_flag()
    reference: str | None = option(
        None,
        values.one_of("engine", lambda: ENGINES),
        "Engine to run the one checkpoint with: transformers, mxnet or tensorflow.",
        metavar="ENGINE",
    )
    reference_python: str | None = option(
        None,
        values.path,
        "Python that has the engine; else $PLAINBERT_MXNET or $PLAINBERT_TENSORFLOW, then "
        ".mx/bin/python or .tf/bin/python.",
        metavar="FILE",
    )
    head: str | None = option(
        None,
        values.one_of("head", lambda: [*HEADS, *OLD_NAMES]),
        "Open the checkpoints with this head; the one that has all their weights when not given.",
        metavar="NAME",
    )
    tolerance: float = option(
        1e-5,
        values.not_negative,
        "Largest absolute difference that is still called equal.",
        metavar="X",
    )
    dtype: str = option(
        "float64",
        values.one_of("dtype", lambda: ("float64", "float32")),
        "Numbers to compute in: float64 (differences of the weights) or float32 (of rounding "
        "too). MXNet has float32 only.",
        metavar="DTYPE",
    )
    plot: str | None = option(
        None, values.path, "Picture to draw: .png, .svg or .pdf.", group="output", metavar="FILE"
    )
    vocab: str | None = None
    num_heads: int | None = None
    labels: tuple[str, ...] | None = None
    max_len: int | None = None

    def checked(self) -> Self:
        settings = super().checked()
        count = len(self.checkpoints)
        if count > 2 or (count == 2) == (self.reference is not None):
            self.refuse("give two checkpoints, or one checkpoint and --reference ENGINE.")
        self.needs("reference_python", "reference")
        self.needs("text_columns", "file")
        for name, path, forms in (
            ("output", self.output, (".json",)),
            ("plot", self.plot, PICTURES),
        ):
            if path is not None and Path(path).suffix not in forms:
                endings = " or ".join(forms)
                self.refuse(f"--{name} {path}: a name ending in {endings} is expected.")
            if path is not None and Path(path).exists() and not self.overwrite:
                self.refuse(f"--{name} {path} exists. Add --overwrite, or choose another name.")
        return settings


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, _add_checkpoints)


def _add_checkpoints(parser: Parser) -> None:
    parser.usage = "%(prog)s FIRST [SECOND] [flags]"
    parser.add_argument(
        "checkpoints", nargs="+", type=str, metavar="CHECKPOINT", help="Folder, file or name."
    )


def run(settings: Settings) -> Report:
    """Compare, and write the report and the picture where the flags say."""
    rows: Sequence[tuple[str, ...]] = TEXTS
    if settings.file is not None or settings.sentences is not None:
        rows = texts.read(settings)

    from plainbert import files
    from plainbert.compare import models, picture
    from plainbert.compare.report import as_json
    from plainbert.model_zoo.convert import open_any
    from plainbert.recipes.shared.start import start

    if settings.plot is not None:
        picture.require()
    start(settings)  # on the CPU, whose numbers are the engines'
    opened = [
        open_any(
            name,
            vocabulary=settings.vocab,
            num_heads=settings.num_heads,
            labels=settings.labels,
            lower=settings.do_lower_case,
            dataset_name=settings.bert_dataset,
            head=None if settings.head is None else OLD_NAMES.get(settings.head, settings.head),
        )
        for name in settings.checkpoints
    ]
    if settings.reference is None:
        result = models.two(
            opened[0],
            opened[1],
            rows,
            names=(settings.checkpoints[0], settings.checkpoints[1]),
            tolerance=settings.tolerance,
            dtype=settings.dtype,
            max_len=settings.max_len,
        )
    else:
        result = models.reference(
            opened[0],
            settings.reference,
            rows,
            python=settings.reference_python,
            name=settings.checkpoints[0],
            tolerance=settings.tolerance,
            dtype=settings.dtype,
            max_len=settings.max_len,
        )
    if settings.output is not None:
        files.write_json(settings.output, as_json(result))
    if settings.plot is not None:
        picture.draw(result, settings.plot)
    return result


def report(results: Report) -> None:
    """Print the differences as a table."""
    from plainbert.compare.report import table

    print(table(results), end="")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    results = command.carry_out("compare_checkpoints", argv, parse_args, run, report)
    from plainbert.compare.report import as_json

    return as_json(results)


def status(results: dict[str, Any]) -> int:
    """What the command exits with: 0 where the checkpoints are equal, else 1."""
    return 0 if results["equal"] else 1
