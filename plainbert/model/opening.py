"""From a folder or a name to a model that is ready."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from plainbert import arguments
from plainbert.errors import UsageError
from plainbert.hub.lookup import path_of
from plainbert.infer.devices import pick_device
from plainbert.infer.precision import Precision, choose_precision
from plainbert.infer.prepare import prepare
from plainbert.model.model import Model
from plainbert.model_zoo import best_of_run, open_folder
from plainbert.nn.devices import device_of
from plainbert.text.tokenizer import Tokenizer


def load(
    name_or_folder: str | Path,
    *,
    dtype: str | Precision = "float32",
    device: torch.device | str | None = None,
    lower: bool | None = None,
    root: str | Path | None = None,
    tokenizer: Tokenizer | None = None,
    labels: Sequence[str] | None = None,
    dataset_name: str | None = None,
) -> Model:
    """Open a model for inference.

    Args:
        name_or_folder: a folder or file of any format, the folder of a run (its best model, else
            its last), or a name such as "all-MiniLM-L6-v2" or "google-bert/bert-base-cased".
        dtype: "float32", "bfloat16", "float16", or "auto": bfloat16 where hardware multiplies it.
        device: such as "cuda:0"; the accelerator if there is one, else the CPU, when not given.
        lower: whether to lower-case, for folders that do not say.
        root: download cache.
        tokenizer: instead of the folder's own.
        labels: names of the classes by id, for models that do not store them.
        dataset_name: what a GluonNLP or Google checkpoint without a vocabulary was trained on.

    Raises:
        UnknownNameError: neither a folder nor a known name.
        CheckpointError: the folder is incomplete.
        DownloadError: the name is known, but its files could not be found or downloaded.
    """
    place = pick_device() if device is None else device_of(device)
    if tokenizer is not None and not isinstance(tokenizer, Tokenizer):
        raise UsageError(f"tokenizer is {arguments.short(tokenizer)}; a Tokenizer is expected.")
    source = best_of_run(name_or_folder)
    opened = open_folder(source, labels=labels, lower=lower, root=root, dataset_name=dataset_name)
    precision = dtype if isinstance(dtype, Precision) else choose_precision(dtype, place)
    ready = prepare(opened.model, precision, place)
    name = str(source) if path_of(source) is None else None  # of published weights
    return Model(ready, tokenizer or opened.tokenizer, opened.checkpoint, place, name=name)
