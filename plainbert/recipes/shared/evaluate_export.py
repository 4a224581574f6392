"""``export.py --evaluate``: scores of an exported model on labelled rows, in its own runtime."""

from __future__ import annotations

import logging
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from plainbert import folders
from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.export.exported import Exported
from plainbert.export.format import Format
from plainbert.export.manifest import NAME, Manifest
from plainbert.export.names import TASKS
from plainbert.infer.evaluation import Evaluation
from plainbert.recipes.shared.settings import LabelledFlags
from plainbert.tasks.classification import evaluate as classification
from plainbert.tasks.classification import scores as classification_scores
from plainbert.tasks.classification import several
from plainbert.tasks.classification.evaluate import ClassifierEvaluation
from plainbert.tasks.classification.find import find
from plainbert.tasks.classification.table import REGRESSION, TableTask
from plainbert.tasks.classification.task import Task
from plainbert.tasks.ner import evaluate as tagging
from plainbert.tasks.ner import scores as tag_scores
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad import evaluate as answers
from plainbert.tasks.squad import files, predict
from plainbert.tasks.squad.windows import prepare
from plainbert.text.reader import read_tokenizer
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)


def manifest_of(folder: Path) -> Manifest:
    """What an exported folder says of itself, after a replacement that was cut short is done."""
    folders.finish_folder(folder, NAME)
    return Manifest.read(folder)


def score(
    settings: LabelledFlags,
    folder: Path,
    manifest: Manifest,
    format: Format,
    threads: int = 0,
) -> dict[str, Any]:
    """Score an exported model on a labelled set, in its own runtime.

    Args:
        settings: which rows.
        folder: of the exported model.
        manifest: of the folder.
        format: what opens its file.
        threads: CPU threads; 0 leaves it to the runtime.

    Returns:
        split to metric to score, and "per_second": rows (sentences, questions).
    """
    if manifest.task in ("classification", "regression"):
        classification_scores.require()
    elif manifest.task == "ner":
        tag_scores.require()
    tokenizer, config = read_tokenizer(folder), BertConfig.from_file(folder / "config.json")
    with format.open_runner(folder, threads) as runner:
        model = Exported(runner, config, TASKS[manifest.task], manifest.max_length)
        evaluation, rows = evaluation_of(settings, manifest, model, tokenizer)
        start = perf_counter()
        scores: dict[str, Any] = dict(evaluation(model))
        scores["per_second"] = rows / (perf_counter() - start)
    return scores


def evaluation_of(
    settings: LabelledFlags, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    """What scores a model, and how many rows it does it with.

    Args:
        settings: which rows.
        manifest: of the exported folder.
        model: what is in it.
        tokenizer: of the folder.

    Raises:
        UsageError: no labelled rows are named, or there is no score for the task.
    """
    evaluations = {
        "classification": _rows,
        "regression": _rows,
        "question_answering": _questions,
        "ner": _sentences,
    }
    make_evaluation = evaluations.get(manifest.task)
    if make_evaluation is None:
        raise UsageError(
            f"{manifest.task}: there is no score for vectors alone; the check of the export says "
            "how near they are to the source's."
        )
    return make_evaluation(settings, manifest, model, tokenizer)


def _rows(
    settings: LabelledFlags, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    task = _task(settings, manifest)
    if several.has_several(model):
        several.scored_by(task)
    split = next(iter(task.dev_splits))
    data = classification.prepare(
        task,
        split,
        task.read(split),
        tokenizer,
        manifest.max_length,
        model.config.max_position_embeddings,
        settings.max_eval_samples,
        settings.num_workers,
    )
    evaluation = ClassifierEvaluation({split: data.features}, task.metrics, torch.float32)
    return evaluation, len(data.features)


def _task(settings: LabelledFlags, manifest: Manifest) -> Task:
    if settings.task_name is not None:
        return find(settings.task_name, settings.data_dir)
    labels = manifest.labels or REGRESSION
    return TableTask(
        dev_file=_file(settings),
        text_columns=settings.text_columns,
        label_column=settings.label_column,
        labels=labels,
    )


def _questions(
    settings: LabelledFlags, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    squad = files.read(_file(settings)).first(settings.max_eval_samples)
    squad.report()
    limits = predict.limits_of(manifest.about, manifest.max_length, max_len=manifest.max_length)
    windows = prepare(
        tokenizer, squad.questions, limits, num_workers=settings.num_workers, bar=True
    )
    windows.report("dev")
    search = predict.search_of(manifest.about)
    sets = {"dev": answers.SquadSplit.of(squad, windows)}
    return answers.SquadEvaluation(sets, search, torch.float32), len(squad)


def _sentences(
    settings: LabelledFlags, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    sentences = tagging.read(_file(settings), settings.max_eval_samples)
    tagging.describe(sentences)
    tags = TagSet.trained(manifest.labels, manifest.about.get("tag_scheme"))
    data = tagging.prepare_split(
        sentences, "dev", tokenizer, tags, manifest.max_length, model.config.max_position_embeddings
    )
    return tagging.TagEvaluation({"dev": data}, tags, torch.float32), len(sentences)


def _file(settings: LabelledFlags) -> Path:
    """The labelled set."""
    if settings.dev_file is None:
        raise UsageError("--evaluate needs labelled rows: give --dev_file, or --task_name.")
    return Path(settings.dev_file)
