"""What can be exported and to what, by name, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A kind of exported model.

    Attributes:
        name: what ``--format`` calls it.
        what: the files, in a few words.
        runtime: what runs them.
        note: for the card.
    """

    name: str
    what: str
    runtime: str
    note: str = ""


FORMATS = {
    each.name: each
    for each in (
        Format("mxnet", "TASK-symbol.json and TASK-0000.params", "Apache MXNet 1.6 and later",
               "MXNet calls the inputs data0 (ids), data1 (types) and data2 (the number "
               "of tokens of each text, (B,)). More tokens than the model has positions are no "
               "error there: it repeats the last position."),
        Format("onnx", "model.onnx", "ONNX Runtime", "OpenVINO runs the same files. "
               "`model.onnx` is float32; `model.int8.onnx`, where there is one, is what the "
               "numbers below are of; an x86 processor without VNNI (before about 2019) needs the "
               "session entry session.x64quantprecision=1 for it."),
        Format("savedmodel", "a version folder with saved_model.pb", "TensorFlow (Serving)",
               "This is what the signature `logits` gives. `serving_default` gives "
               "probabilities or predictions and takes label_ids, `tokens_only` gives them "
               "without; there the inputs are input_ids, input_mask and segment_ids."),
        Format("torch", "model.pt2 of torch.export, or compiled.pt2", "torch, without plainbert",
               "`compiled.pt2` runs on processors like the one that wrote it; "
               "`model.pt2` runs anywhere."),
    )
}  # fmt: skip

# GluonNLP's names of what is exported, and our heads.
TASKS = {
    "classification": "classification",
    "regression": "regression",
    "question_answering": "question_answering",
    "ner": "token_classification",
    "embedding": "embedding",
}
INPUTS = ("input_ids", "token_type_ids", "attention_mask")  # each (B, L), whole numbers


def task_of(head: str) -> str | None:
    """The task that exports a head; None for heads that no format has a graph for."""
    return {own: task for task, own in TASKS.items()}.get(head)


@dataclass(frozen=True)
class Options:
    """How to export. Each format reads what concerns it.

    Attributes:
        dropout: share that MXNet's Dropout nodes drop in training mode; 0 leaves them out.
        fused: MXNet: store queries, keys and values in one matrix, for a smaller graph, in place
            of separate ones that also load by name.
        int8: ONNX: also quantise.
        calibration: ONNX int8: texts (or pairs) that show which values occur.
        compiled: torch: compile for this processor (AOTInductor) in place of a portable program.
        python: the interpreter that has the runtime, where it needs one of its own.
    """

    dropout: float = 0.0
    fused: bool = False
    int8: bool = False
    calibration: tuple[tuple[str, ...], ...] = ()
    compiled: bool = False
    python: str | None = None
