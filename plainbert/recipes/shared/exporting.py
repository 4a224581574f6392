"""From the flags of export.py, and of ``--export``, to an exported model; and scores of one."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from plainbert import folders, model_zoo
from plainbert.config import BertConfig
from plainbert.errors import UsageError
from plainbert.export import bundle
from plainbert.export.exported import Exported
from plainbert.export.format import Format
from plainbert.export.formats import with_defaults
from plainbert.export.manifest import NAME, Manifest
from plainbert.export.mxnet.format import MXNetFormat
from plainbert.export.names import TASKS
from plainbert.export.onnx.format import ONNXFormat
from plainbert.export.savedmodel.format import SavedModelFormat
from plainbert.export.source import Source, source_of
from plainbert.export.torch.format import TorchFormat
from plainbert.infer.evaluation import Evaluation
from plainbert.nn.pooling import Pooling
from plainbert.recipes.shared import texts
from plainbert.recipes.shared.models import name_of
from plainbert.recipes.shared.vocabulary import tokenizer_of
from plainbert.tasks.classification import evaluate as classification
from plainbert.tasks.classification.evaluate import Predictions
from plainbert.tasks.classification.find import find
from plainbert.tasks.classification.table import REGRESSION, TableTask
from plainbert.tasks.classification.task import Task
from plainbert.tasks.ner import evaluate as tagging
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad import evaluate as answers
from plainbert.tasks.squad import files, predict
from plainbert.tasks.squad.windows import prepare
from plainbert.text.reader import read_tokenizer
from plainbert.text.samples import spread
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

SAMPLES = 200  # texts of --file that are looked at, from all over it
LABELS = ("0", "1")  # of a classifier with random weights: GluonNLP's exports had two classes


def source_from(args: argparse.Namespace) -> Source:
    """The model that the flags name.

    Without one, a model with random weights, as GluonNLP's export makes it: to see that a
    deployment works, or how fast it is.

    Raises:
        UsageError: no model, and nothing that says its vocabulary or its task.
        CheckpointError: the folder has no such head.
    """
    head = None if args.task is None else TASKS[args.task]
    pooling = None if args.pooling_strategy is None else Pooling(args.pooling_strategy)
    if args.model_dir is None and args.model_parameters is None:
        return _untrained(args, head, pooling)
    name = name_of(args)
    opened = model_zoo.open_folder(
        name, head, args.labels, lower=args.do_lower_case, dataset_name=args.bert_dataset
    )
    return source_of(opened, name, pooling, args.max_len)


def _untrained(args: argparse.Namespace, head: str | None, pooling: Pooling | None) -> Source:
    if head is None:
        raise UsageError(
            f"no model: give --model_dir. Or --task ({', '.join(TASKS)}) for random weights."
        )
    tokenizer = tokenizer_of(args)
    if tokenizer is None:
        raise UsageError("random weights need a vocabulary: give --vocab or --dataset_name.")
    log.warning("no --model_dir and no --model_parameters: %s with random weights", args.bert_model)
    torch.manual_seed(args.seed)
    labels = args.labels or (LABELS if args.task in ("classification", "ner") else None)
    model = model_zoo.new_model(args.bert_model, tokenizer, head, id2label=labels)
    found = model_zoo.LoadedModel.untrained(model, tokenizer, head)
    return source_of(found, args.bert_model, pooling, args.max_len)


def export_from(args: argparse.Namespace) -> Manifest:
    """Export what the flags name."""
    source = source_from(args)
    given = spread(texts.read(args), SAMPLES) if args.file or args.sentences else []
    format = format_of(args.format, args, int8=args.int8, calibration=tuple(given))
    return bundle.export(
        source,
        args.output_dir,
        format,
        texts=given,
        overwrite=args.overwrite,
        threads=args.threads or 0,
    )


def format_of(
    name: str,
    args: argparse.Namespace,
    *,
    int8: bool = False,
    calibration: tuple[tuple[str, ...], ...] = (),
) -> Format:
    """A format with the options that the flags give it.

    Args:
        name: a key of :data:`plainbert.export.names.FORMATS`.
        args: the flags of export.py.
        int8: for ONNX, int8 matrix products.
        calibration: for int8, texts (or pairs) that show which values occur.

    Raises:
        UnknownNameError: no such format.
    """
    match name:
        case "mxnet":
            return MXNetFormat(args.dropout, args.fused, args.runtime_python)
        case "onnx":
            return ONNXFormat(int8, calibration)
        case "savedmodel":
            return SavedModelFormat(args.runtime_python)
        case "torch":
            return TorchFormat(args.compiled)
    return with_defaults(name)


def export_trained(model: Path, format: str, folder: Path) -> Manifest:
    """Export a model that was just trained.

    Args:
        model: its folder.
        format: a key of :data:`plainbert.export.names.FORMATS`.
        folder: to make; an older export there is replaced.
    """
    source = source_of(model_zoo.open_folder(model), str(model))
    return bundle.export(source, folder, with_defaults(format), overwrite=True)


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Score an exported model on a labelled set, in its own runtime.

    Returns:
        split to metric to score, and "per_second": rows (sentences, questions).
    """
    folder = Path(args.evaluate)
    folders.finish_folder(folder, NAME)
    manifest = Manifest.read(folder)
    tokenizer, config = read_tokenizer(folder), BertConfig.from_file(folder / "config.json")
    format = format_of(manifest.format, args, int8=manifest.quantized and not args.float32)
    with format.open_runner(folder, args.threads or 0) as runner:
        model = Exported(runner, config, TASKS[manifest.task], manifest.max_length)
        evaluation, rows = evaluation_of(args, manifest, model, tokenizer)
        start = perf_counter()
        found: dict[str, Any] = dict(evaluation(model))
        found["per_second"] = rows / (perf_counter() - start)
    return found


def evaluation_of(
    args: argparse.Namespace, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    """What scores a model, and how many rows it does it with.

    Args:
        args: the flags of ``--evaluate``.
        manifest: of the exported folder.
        model: what is in it.
        tokenizer: of the folder.

    Raises:
        UsageError: no labelled rows are named, or there is no score for the task.
    """
    make = {
        "classification": _rows,
        "regression": _rows,
        "question_answering": _questions,
        "ner": _sentences,
    }.get(manifest.task)
    if make is None:
        raise UsageError(
            f"{manifest.task}: there is no score for vectors alone; the check of the export says "
            "how near they are to the source's."
        )
    return make(args, manifest, model, tokenizer)


def _rows(
    args: argparse.Namespace, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    task = _task(args, manifest)
    split = next(iter(task.dev_splits))
    data = classification.load(
        task, split, model, tokenizer, manifest.max_length, args.max_eval_samples, args.num_workers
    )
    return Predictions({split: data.features}, task.metrics, torch.float32), len(data.features)


def _task(args: argparse.Namespace, manifest: Manifest) -> Task:
    if args.task_name is not None:
        return find(args.task_name, args.data_dir)
    labels = manifest.labels or REGRESSION
    return TableTask(
        dev_file=_file(args),
        text_columns=args.text_columns,
        label_column=args.label_column,
        labels=labels,
    )


def _questions(
    args: argparse.Namespace, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    asked = files.read(_file(args)).first(args.max_eval_samples)
    asked.report()
    limits = predict.limits_of(manifest.about, manifest.max_length, max_len=manifest.max_length)
    windows = prepare(tokenizer, asked.questions, limits, num_workers=args.num_workers, bar=True)
    windows.report("dev")
    search = predict.search_of(manifest.about)
    sets = {"dev": answers.SquadSplit.of(asked, windows)}
    return answers.SquadEvaluation(sets, search, torch.float32), len(asked)


def _sentences(
    args: argparse.Namespace, manifest: Manifest, model: Exported, tokenizer: Tokenizer
) -> tuple[Evaluation, int]:
    sentences = tagging.read(_file(args), args.max_eval_samples)
    tagging.describe(sentences)
    tags = TagSet.trained(manifest.labels, manifest.about.get("tag_scheme"))
    data = tagging.prepare_split(
        sentences, "dev", tokenizer, tags, manifest.max_length, model.config.max_position_embeddings
    )
    return tagging.TagEvaluation({"dev": data}, tags, torch.float32), len(sentences)


def _file(args: argparse.Namespace) -> Path:
    """The labelled set."""
    if args.dev_file is None:
        raise UsageError("--evaluate needs labelled rows: give --dev_file, or --task_name.")
    return Path(args.dev_file)
