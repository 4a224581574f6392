"""From a task to features, and from a trained classifier to scores and prediction files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert import files
from plainbert.batching.features import Features, tokenized
from plainbert.containers.tables import table
from plainbert.errors import UsageError
from plainbert.infer.evaluation import RESULTS_FILE, Evaluation, Scores, logits
from plainbert.infer.logits import ComputesLogits
from plainbert.tasks.classification import scores as metrics
from plainbert.tasks.classification import several
from plainbert.tasks.classification.activation import activated
from plainbert.tasks.classification.decode import decode, predicted
from plainbert.tasks.classification.result_files import result_rows
from plainbert.tasks.classification.rows import InputRow
from plainbert.tasks.classification.submission import write_submission
from plainbert.tasks.classification.task import Example, Split, Task
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.parallel.strategy import ALONE, ParallelStrategy
from plainbert.visible import near

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenizedSplit:
    """One split of a task, tokenised.

    Attributes:
        examples: in the order of the file.
        features: tokens of the examples; labelled if every example has a label.
    """

    examples: list[Example]
    features: Features


def prepare(
    task: Task,
    split: str,
    rows: Split,
    tokenizer: Tokenizer,
    max_len: int,
    positions: int,
    limit: int | None = None,
    num_workers: int = 0,
) -> TokenizedSplit:
    """Tokenise one split, and log how many rows it has and how many were cut.

    Args:
        task: names the files and the labels.
        split: one of the task's splits.
        rows: of the split, from :meth:`Task.read`.
        tokenizer: the one that the model was trained with.
        max_len: tokens per row at most.
        positions: tokens that the model can take at most.
        limit: use only so many rows, the first ones.
        num_workers: processes that tokenise.

    Raises:
        UsageError: ``max_len`` is more than ``positions``.
    """
    examples = rows.examples[:limit]
    column: NDArray[Any] | None = None
    if all(example.label is not None for example in examples):
        names = [example.label for example in examples]
        if task.several:
            column = several.matrix(examples, task)
        elif task.labels:
            column = np.array([task.label_id(str(name)) for name in names], np.int64)
        else:
            column = np.array([float(name or 0) for name in names], np.float32)
    texts = [example.texts for example in examples]
    features = tokenized(tokenizer, texts, max_len, positions, num_workers, bar=True)
    log.info(
        "%s: %d rows, %.1f tokens each on average",
        split,
        len(features),
        features.lengths.mean(),
    )
    return TokenizedSplit(examples, replace(features, labels=column))


def write_results(
    model: ComputesLogits,
    task: Task,
    data: Mapping[str, TokenizedSplit],
    dtype: torch.dtype,
    folder: Path,
    names: tuple[str, ...] | None = None,
    ranks: ParallelStrategy = ALONE,
) -> Scores:
    """Score every labelled split, write the submission file of every test split.

    Args:
        model: with its best weights, where it computes.
        task: names the labels and the files.
        data: splits to run, by name.
        dtype: of the matrix products.
        folder: gets ``eval_results.json``, ``SPLIT_predictions.csv`` with texts, right labels and
            probabilities of every test split, and the submission files.
        names: metrics; the task's own when not given.
        ranks: they share the rows; rank 0 writes.

    Returns:
        split to metric to score.
    """
    scores: Scores = {}
    for split, part in data.items():
        rows = logits(model, part.features, dtype, ranks, bar=ranks.rank == 0)
        if part.features.labels is not None:
            scores[split] = score(names or task.metrics, model, rows, part.features.labels)
            line = ", ".join(f"{name} {score:.4f}" for name, score in scores[split].items())
            log.debug("%s (%d rows): %s", split, len(rows), line)
        if split in task.test_splits and ranks.rank == 0:
            path = write_predictions(model, task, split, part.examples, rows, folder)
            log.info("predictions of %s: %s", split, path)
            if task.several:
                path = several.write_predictions(task, split, part.examples, rows, folder)
            else:
                ids = predicted(activated(rows, model.config)).tolist()
                path = write_submission(task, split, part.examples, ids, folder)
            log.info("predictions of %s: %s", split, near(path))
    if ranks.rank == 0:
        files.write_json(folder / RESULTS_FILE, scores)
    return scores


def write_predictions(
    model: ComputesLogits,
    task: Task,
    split: str,
    examples: Sequence[Example],
    rows: NDArray[np.float32],
    folder: Path,
) -> Path:
    """Write what a model says of a split: texts, labels, probabilities, and the right labels.

    Args:
        model: a classifier or a regressor.
        task: names the labels.
        split: one of the task's.
        examples: in the order of the logits.
        rows: logits; (N, C).
        folder: gets the file.

    Returns:
        the file's path.
    """
    predictions = decode(activated(rows, model.config), task.labels or (), task.several)
    labelled = any(example.label is not None for example in examples)
    inputs = [
        InputRow(
            example.texts, ("" if example.label is None else example.label) if labelled else None
        )
        for example in examples
    ]
    path = folder / f"{split}_predictions.csv"
    files.write_text(path, table(result_rows(inputs, predictions), path.suffix))
    return path


class ClassifierEvaluation(Evaluation):
    """Metrics of a classifier or regressor on labelled sets.

    Args:
        sets: features with labels, by the name of the split; at least one.
        names: metrics; the first one chooses.
        dtype: of the matrix products.
        ranks: they share the rows.
    """

    def __init__(
        self,
        sets: Mapping[str, Features],
        names: Sequence[str],
        dtype: torch.dtype,
        ranks: ParallelStrategy = ALONE,
    ) -> None:
        if not names:
            raise UsageError("sets to evaluate, but no metric to evaluate them by.")
        self.sets, self.names, self.dtype, self.ranks = sets, names, dtype, ranks
        self.chooses = names[0]
        self.better = 1 if names[0] in several.METRICS else metrics.better(names[0])

    def __call__(self, model: ComputesLogits) -> Scores:
        return evaluate(model, self.sets, self.names, self.dtype, self.ranks)


def evaluate(
    model: ComputesLogits,
    sets: Mapping[str, Features],
    names: Sequence[str],
    dtype: torch.dtype = torch.float32,
    ranks: ParallelStrategy = ALONE,
) -> Scores:
    """Score a classifier or a regressor.

    Args:
        model: left as it was, in training mode or not.
        sets: features with labels, by the name of the split.
        names: metrics.
        dtype: of the matrix products.
        ranks: they share the rows.

    Returns:
        metric to score, for every set.
    """
    scores = {}
    for split, features in sets.items():
        assert features.labels is not None
        rows = logits(model, features, dtype, ranks, bar=ranks.rank == 0)
        scores[split] = score(names, model, rows, features.labels)
    return scores


def score(
    names: Sequence[str], model: ComputesLogits, rows: NDArray[np.float32], labels: NDArray[Any]
) -> dict[str, float]:
    """Scores of a whole set.

    Args:
        names: metrics.
        model: a classifier, of one or several labels per text, or a regressor.
        rows: its logits; (N, C).
        labels: class ids or numbers, (N,); which labels each text has, (N, C), where it may have
            several.
    """
    if several.has_several(model):
        return several.compute(names, several.chosen(rows), labels)
    return metrics.compute(names, predicted(activated(rows, model.config)), labels)
