"""predict.py of an export: what belongs to it, and what it prints for a text of ours."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from plainbert.export.manifest import Manifest
from plainbert.export.program import (
    predict,
    predict_answers,
    predict_model,
    predict_texts,
    predict_words,
)
from plainbert.export.runner import Runner
from plainbert.text.samples import TEXTS

HERE = Path(__file__).parent
PROGRAM = HERE / "program"
TASKS = {"ner": predict_words, "question_answering": predict_answers}
NAMES_AND_PLACES = ("Anna Lee flew from Berlin to New York.",)


@dataclass(frozen=True)
class Example:
    """A command line of an export, and what it really printed.

    Attributes:
        command: ``python predict.py ...``.
        lines: on standard output.
    """

    command: str
    lines: tuple[str, ...]


def copy_program(format: str, task: str, folder: Path) -> None:
    """Put predict.py into a folder, with the modules that it needs for a format and a task.

    Args:
        format: a key of :data:`plainbert.export.names.FORMATS`.
        task: a key of :data:`plainbert.export.names.TASKS`.
        folder: exists.
    """
    for name in ("predict.py", "predict_model.py"):
        shutil.copyfile(PROGRAM / name, folder / name)
    work = TASKS.get(task, predict_texts).__file__
    assert work is not None
    shutil.copyfile(work, folder / "predict_task.py")
    shutil.copyfile(HERE / format / "predict_runtime.py", folder / "predict_runtime.py")


def example_of(
    manifest: Manifest, folder: Path, runner: Runner, rows: Sequence[tuple[str, ...]] = ()
) -> Example:
    """What predict.py prints for a text (or a pair) of ours, by the exported file.

    Args:
        manifest: of the export.
        folder: the export, whose tokenizer is used.
        runner: the exported file, opened.
        rows: what the user checks with; they tell whether the model takes pairs, and stay private.
    """
    row = NAMES_AND_PLACES if manifest.task == "ner" else TEXTS[0]
    pairs = manifest.origin.get("texts") == 2 or any(len(row) == 2 for row in rows[:1])
    if manifest.task == "question_answering" or (pairs and manifest.task != "ner"):
        row = TEXTS[1]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = predict_model.Model(vars(manifest), tokenizer, runner.run)
    results = TASKS.get(manifest.task, predict_texts).results(model, [row])
    words = " ".join(map(shlex.quote, row)).replace("'", '"')
    text = predict.lines(results, header=True)
    return Example(f"python predict.py {words}", tuple(text.rstrip("\n").split("\n")))
