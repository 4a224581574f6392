"""Prediction files in the form that GLUE's server takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plainbert import files
from plainbert.containers.tables import cell
from plainbert.errors import UnknownNameError, UsageError
from plainbert.tasks.classification.task import Example, Task


def write_submission(
    task: Task,
    split: str,
    examples: Sequence[Example],
    predictions: Sequence[int | float | str],
    folder: str | Path,
) -> Path:
    """Write one test split's predictions: header, then index, tab, prediction.

    Args:
        task: whose labels and file name.
        split: one of ``task.test_splits`` (any split that exists is fine).
        examples: in the order of the predictions; their ``row`` becomes the index.
        predictions: one per example: a label's id or name; a number for regression, written with
            three decimals.
        folder: created if need be.

    Returns:
        the file's path, ``folder / task.submission_name(split)``.

    Raises:
        UnknownNameError: no such split.
        UsageError: the two lengths differ, or an id is not a label's.
    """
    if split not in task.splits:
        raise UnknownNameError(f"split of {task.name}", split, task.splits)
    if len(examples) != len(predictions):
        raise UsageError(f"{len(predictions)} predictions for {len(examples)} examples.")
    rows = [
        f"{cell(example.row)}\t{cell(_text(task, prediction))}\n"
        for example, prediction in zip(examples, predictions, strict=True)
    ]
    path = Path(folder) / task.submission_name(split)
    files.write_text(path, "index\tprediction\n" + "".join(rows))
    return path


def _text(task: Task, prediction: int | float | str) -> str:
    if task.labels is None:
        return f"{float(prediction):.3f}"
    if isinstance(prediction, str):
        return str(task.clean_label(prediction))
    number = int(prediction)
    if not 0 <= number < len(task.labels):
        raise UsageError(f"{number} is not the id of one of {task.name}'s labels {task.labels}.")
    return task.labels[number]
