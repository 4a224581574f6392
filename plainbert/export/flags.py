"""Flags that say what is exported, and to what. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plainbert.cli import values
from plainbert.cli.settings import Flags, option
from plainbert.export.names import FORMATS, TASKS

HELP = "; ".join(f"{format.name} ({format.files})" for format in FORMATS.values())


@dataclass(frozen=True, kw_only=True)
class ExportFlags(Flags):
    """What to export, or which export to score."""

    MAIN: ClassVar = {
        "what people set": ("model_dir", "format", "task", "int8", "sentences", "file", "max_len"),
        "scores of an export": ("evaluate", "dev_file", "text_columns", "label_column"),
        "output": ("output_dir", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "model_dir": "random weights of the size that --bert_model names",
        "task": "by the model's head", "max_len": "what the model takes",
        "sentences": "texts of our own", "file": "texts of our own",
        "evaluate": "a model is exported", "dev_file": "required with --evaluate",
    }  # fmt: skip

    format: str = option(
        "mxnet",
        values.one_of("format", lambda: FORMATS),
        f"What to write: {HELP}.",
        group="export",
        metavar="NAME",
    )
    task: str | None = option(
        None,
        values.one_of("task", lambda: TASKS),
        f"What the model does: {', '.join(TASKS)}; what its folder says when not given.",
        group="export",
        metavar="NAME",
    )
    fused: bool = option(
        False,
        None,
        "mxnet: queries, keys and values in one matrix, for a smaller graph; the weights then do "
        "not load by name.",
        group="export",
    )
    int8: bool = option(
        False,
        None,
        "onnx: int8 matrix products, calibrated on --file or --sentences.",
        group="export",
    )
    compiled: bool = option(
        False, None, "torch: compile for this processor; needs a C++ compiler.", group="export"
    )
    runtime_python: str | None = option(
        None,
        values.path,
        "Python that has MXNet or TensorFlow; else .mx or .tf in the working directory.",
        group="export",
        metavar="PATH",
    )
    evaluate: str | None = option(
        None,
        values.path,
        "Score this exported folder, in place of exporting.",
        ("exported_model",),
        "evaluation",
        "DIR",
    )
    float32: bool = option(
        False, None, "Evaluate the float32 file of an int8 export.", group="evaluation"
    )
