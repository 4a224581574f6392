"""What can be exported and to what, by name, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FormatInfo:
    """What a format is called, and what it is.

    Attributes:
        name: what ``--format`` calls it.
        files: what is written, in a few words.
        runtime: what runs them.
        packages: what predict.py of an export needs; their versions are noted.
        install: how they are installed.
        note: what the card of an export adds for this format.
    """

    name: str
    files: str
    runtime: str
    packages: tuple[str, ...]
    install: str
    note: str = ""


FORMATS = {
    format.name: format
    for format in (
        FormatInfo(
            name="mxnet",
            files="TASK-symbol.json and TASK-0000.params",
            runtime="Apache MXNet 1.6 and later",
            packages=("mxnet", "tokenizers", "numpy"),
            install="pip install numpy==1.23.5 mxnet==1.9.1 tokenizers  # Python 3.8 to 3.11",
            note="MXNet calls the inputs data0 (ids), data1 (types) and data2 (the number of "
            "tokens of each text, (B,)). More tokens than the model has positions are no error "
            "there: it repeats the last position.",
        ),
        FormatInfo(
            name="onnx",
            files="model.onnx",
            runtime="ONNX Runtime",
            packages=("onnxruntime", "tokenizers", "numpy"),
            install="pip install numpy onnxruntime tokenizers",
            note="OpenVINO runs the same files. `model.onnx` is float32; `model.int8.onnx`, where "
            "there is one, is what the numbers below are of; an x86 processor without VNNI "
            "(before about 2019) needs the session entry session.x64quantprecision=1 for it.",
        ),
        FormatInfo(
            name="savedmodel",
            files="a version folder with saved_model.pb",
            runtime="TensorFlow (Serving)",
            packages=("tensorflow", "tokenizers", "numpy"),
            install="pip install tensorflow-cpu tokenizers",
            note="This is what the signature `logits` gives. `serving_default` gives "
            "probabilities or predictions and takes label_ids, `tokens_only` gives them without; "
            "there the inputs are input_ids, input_mask and segment_ids.",
        ),
        FormatInfo(
            name="torch",
            files="model.pt2 of torch.export, or compiled.pt2",
            runtime="torch, without plainbert",
            packages=("torch", "tokenizers", "numpy"),
            install="pip install torch numpy tokenizers",
            note="`compiled.pt2` runs on processors like the one that wrote it; `model.pt2` runs "
            "anywhere.",
        ),
    )
}

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
