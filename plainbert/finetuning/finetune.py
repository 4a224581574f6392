"""From data in Python to a fine-tuned model, by the recipes that the commands run."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plainbert import arguments
from plainbert.cli import run as cli_run
from plainbert.errors import PlainBertError, UnknownNameError, UsageError
from plainbert.finetuning import data_files
from plainbert.finetuning.data_files import Place
from plainbert.finetuning.options import settings_of
from plainbert.model import Model, load
from plainbert.model_zoo import best_of_run, stored_of
from plainbert.nn.devices import device_of
from plainbert.recipes.shared import console
from plainbert.recipes.shared.before import quiet
from plainbert.recipes.shared.models import name_of
from plainbert.tables.rows import scored
from plainbert.train.run_folder import ARGS_FILE

MODEL = "all-MiniLM-L6-v2"
SMALL = 512  # width of a model up to which a higher learning rate is right
SMALL_FILE = 2_000_000  # bytes; it is read twice to count its rows
FEW_STEPS, MOST_EPOCHS = 150, 20  # fewer steps learn little: small sets are gone through more often
SPLITS = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}


@dataclass(frozen=True)
class Recipe:
    """What a task is trained with.

    Attributes:
        module: of the recipe.
        head: of the model, a name of :data:`plainbert.nn.names.HEADS`.
        columns: fields of the settings that name the columns of a file; none of questions.
        test_file: its name of the file to predict.
        epochs: where nothing else is asked for, and there are not few rows.
        rate: learning rate of a small model.
        large_rate: learning rate of a large one.
    """

    module: str
    head: str
    columns: tuple[str, ...]
    test_file: str
    epochs: int
    rate: float
    large_rate: float


TEXTS, WORDS = ("text_columns", "label_column"), ("word_column", "tag_column")
TASKS = {
    "classification": Recipe(
        "finetune_classifier", "classification", TEXTS, "test_file", 3, 1e-4, 3e-5
    ),
    "regression": Recipe("finetune_classifier", "regression", TEXTS, "test_file", 3, 1e-4, 3e-5),
    "ner": Recipe("finetune_ner", "token_classification", WORDS, "test_file", 3, 2e-4, 3e-5),
    "squad": Recipe("finetune_squad", "question_answering", (), "predict_file", 2, 2e-4, 3e-5),
}
_MODELS = ("model_dir", "model_parameters", "pretrained_bert_parameters", "bert_model")


def finetune(
    data: Any,
    text: Any = None,
    label: Any = None,
    *,
    text_pair: str | int | None = None,
    task: str = "classification",
    model: str | Path = MODEL,
    dev_data: Any = None,
    test_data: Any = None,
    output_dir: str | Path | None = None,
    device: torch.device | str | None = None,
    bar: bool = True,
    **options: Any,
) -> Model:
    """Fine-tune a model, as ``finetune_classifier``, ``finetune_ner`` and ``finetune_squad`` do.

    The defaults are those that learn from little data, not those of the commands: AdamW with an
    epsilon of 1e-8, batches of 16, a learning rate of 1e-4 (2e-4 for "ner" and "squad"; 3e-5 for
    models wider than 512 units), 3 epochs (2 for "squad"; as many more, up to 20, as it takes to
    make 150 steps).

    Args:
        data: rows to learn: a file of any form that the command reads, a list of dicts, a list of
            (text, label) tuples, a dict or a pair of lists, a DataFrame, a Dataset; or a dict of
            such under "train", "validation" and "test".
        text: column of the text, or two columns of a pair; "text" or another usual name when not
            given. For "ner" the column of the words.
        label: column of the label, "label" when not given; or the labels themselves, as a list. For
            "ner" the column of the tags.
        text_pair: column of the second text of a pair.
        task: "classification", "regression", "ner" (words and tags) or "squad" (questions, contexts
            and answers).
        model: folder or name of the model to begin with.
        dev_data: rows that choose the best model; without them the last one is taken.
        test_data: rows that are scored at the end.
        output_dir: the run folder, as the command leaves it; nothing is left when not given.
        device: such as "cuda:0"; the accelerator if there is one when not given.
        bar: show how far the work is.
        options: flags of the command by their names, such as ``epochs``, ``lr``, ``batch_size``,
            ``max_len``, ``seed``, ``resume``.

    Returns:
        the best model; its ``scores`` are those of the dev and test rows.

    Raises:
        UsageError: the data or an option cannot be used; said before the training starts.
        DataError: rows cannot be used.
        DivergedError: the loss became infinite or NaN.
    """
    if task not in TASKS:
        raise UnknownNameError("task of finetune", str(task), TASKS)
    recipe: Any = import_module(f"plainbert.recipes.{TASKS[task].module}")
    with _run_folder(output_dir) as place:
        fields = _fields(task, data, text, label, text_pair, dev_data, test_data, place)
        fields["output_dir"] = str(place.run)
        if not any(name in options for name in _MODELS):
            fields["model_dir"] = str(arguments.path("model", model))
        if device is not None:
            chip = device_of(device)
            fields |= {"gpu": chip.index or 0} if chip.type == "cuda" else {"gpus": ()}
        settings = settings_of(recipe.Settings, {**options}, fields)
        settings = _with_defaults(recipe.Settings, settings, task, options, fields)
        if settings.only_inference or settings.local_ranks > 1:
            raise UsageError(
                "finetune trains, in one process: only_inference, num_local_ranks and several gpus "
                "are for the command."
            )
        with _as_before(bar):
            results = recipe.run(settings)
        best = load(results.model, device=device)
        best.scores = results.scores
        if output_dir is None:
            best.keep().name = f"{Path(settings.model_dir or MODEL).name}, fine-tuned"
        return best


def _fields(
    task: str,
    data: Any,
    text: Any,
    label: Any,
    text_pair: Any,
    dev_data: Any,
    test_data: Any,
    place: Place,
) -> dict[str, Any]:
    """The flags that name the data; what is no file yet is written into a folder."""
    parts = {"train": data, "dev": dev_data, "test": test_data}
    if isinstance(data, Mapping) and "train" in data and set(data) <= set(SPLITS):
        own = {SPLITS[name]: part for name, part in data.items()}
        parts = {split: own.get(split) if part is None or split == "train" else part
                 for split, part in parts.items()}  # fmt: skip
    if text_pair is not None:
        text = (text if text is not None else "text", text_pair)
    if label is not None and not isinstance(label, str | int):
        parts["train"], label = _labelled(data, label), None
    fields: dict[str, Any] = {"regression": True} if task == "regression" else {}
    names = {"train": "train_file", "dev": "dev_file", "test": TASKS[task].test_file}
    for split, part in parts.items():
        if part is None:
            continue
        name = "data" if split == "train" else f"{split}_data"
        if isinstance(part, str | os.PathLike):
            path, more = str(part), _columns(task, text, label)
        else:
            path, more = data_files.write(task, part, name, split, text, label, place)
        if split != "train" and any(fields.get(key) != value for key, value in more.items()):
            raise UsageError(f"{name} has other columns ({more}) than data ({fields}).")
        fields |= {names[split]: path, **more}
    return fields


def _columns(task: str, text: Any, label: Any) -> dict[str, Any]:
    """The flags that name the columns of a file."""
    several = () if text is None else (text,) if isinstance(text, str | int) else tuple(text)
    texts = tuple(map(str, several))
    if task == "squad":
        if texts or label is not None:
            raise UsageError("text and label: files of questions have columns of fixed names.")
        return {}
    if task == "ner":
        columns = {"word_column": texts[0] if texts else None, "tag_column": label}
        return {name: str(value) for name, value in columns.items() if value is not None}
    return ({"text_columns": texts} if texts else {}) | (
        {} if label is None else {"label_column": str(label)}
    )


def _labelled(data: Any, labels: Any) -> list[tuple[Any, ...]]:
    """Texts, or pairs, with labels that came beside them."""
    texts, labels = list(data), list(labels)
    if isinstance(data, str | Mapping) or hasattr(data, "columns"):
        raise UsageError("label is a list: data must be a list of as many texts or pairs.")
    if len(texts) != len(labels):
        raise UsageError(f"data has {len(texts)} texts and label {len(labels)} labels.")
    pairs = zip(texts, labels, strict=True)
    return [(*one, other) if isinstance(one, tuple) else (one, other) for one, other in pairs]


def _with_defaults(
    kind: Any, settings: Any, task: str, options: Mapping[str, Any], fields: Mapping[str, Any]
) -> Any:
    """The settings with defaults that learn from little data."""
    recipe, typed = TASKS[task], settings.typed
    width = stored_of(best_of_run(name_of(settings))).config.hidden_size
    own: dict[str, Any] = {
        "optimizer": "adamw",
        "lr": recipe.rate if width <= SMALL else recipe.large_rate,
        "batch_size": 16,
        "epochs": recipe.epochs,
        "log_interval": 50,
    }
    if "optimizer" not in typed:
        own["epsilon"] = 1e-8
    size = settings.batch_size if "batch_size" in typed else own["batch_size"]
    if count := _few_rows(recipe, settings):
        steps = math.ceil(count / (size * settings.accumulate))
        own["epochs"] = min(MOST_EPOCHS, max(recipe.epochs, math.ceil(FEW_STEPS / steps)))
    missing = {name: value for name, value in own.items() if name not in typed}
    return settings_of(kind, options, {**fields, **missing})


def _few_rows(recipe: Recipe, settings: Any) -> int:
    """How many rows a small file has; 0 for a large one, and where the recipe says what is wrong.

    Args:
        recipe: of the task.
        settings: of its command.
    """
    file = Path(settings.train_file or "")
    if not file.is_file() or file.stat().st_size > SMALL_FILE:
        return 0
    text, label = [getattr(settings, name) for name in recipe.columns] or [None, None]
    with quiet(), contextlib.suppress(PlainBertError):
        return len(scored(recipe.head, file, text, label)[0])
    return 0


@contextlib.contextmanager
def _run_folder(output_dir: str | Path | None) -> Iterator[Place]:
    """The folder to train in: what a caller names, or one that is gone afterwards."""
    if output_dir is not None:
        place = Place(Path(arguments.path("output_dir", output_dir)))
        try:
            yield place
        finally:
            if not (place.run / ARGS_FILE).exists():
                place.take_back()
        return
    with tempfile.TemporaryDirectory(prefix="plainbert-") as name:
        try:
            yield Place(Path(name) / "run")
        finally:
            console.end_log_file()


@contextlib.contextmanager
def _as_before(bar: bool) -> Iterator[None]:
    """Leave random numbers, log and notes of the process as they were; show the log meanwhile."""
    log = logging.getLogger("plainbert")
    level, numbers, states = log.level, random.getstate(), np.random.get_state()
    torch_state = torch.get_rng_state()
    if bar:
        console.log_to_console()
    try:
        yield
    finally:
        if bar:
            console.end_console()
        console.end_log_file()
        cli_run.note_folder(None)
        log.setLevel(level)
        random.setstate(numbers)
        np.random.set_state(states)
        torch.set_rng_state(torch_state)
