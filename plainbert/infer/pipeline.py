"""Opening a model for inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from plainbert.infer.devices import pick_device, pick_dtype
from plainbert.infer.model import Model
from plainbert.infer.prepare import prepare
from plainbert.model_zoo import open_folder
from plainbert.text.tokenizer import Tokenizer


def load(
    name_or_folder: str | Path,
    *,
    dtype: str = "float32",
    device: torch.device | str | None = None,
    lower: bool | None = None,
    root: str | Path | None = None,
    tokenizer: Tokenizer | None = None,
    labels: Sequence[str] | None = None,
    dataset_name: str | None = None,
) -> Model:
    """Open a model for inference.

    Args:
        name_or_folder: a folder or file of any format, or a name such as "all-MiniLM-L6-v2" or
            "google-bert/bert-base-cased".
        dtype: "float32", "bfloat16", "float16", or "auto": bfloat16 where the hardware multiplies
            it.
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

    Example::

        model = load("all-MiniLM-L6-v2")
        vector = model.encode("a sentence")  # (384,)
    """
    place = pick_device() if device is None else torch.device(device)
    opened = open_folder(
        name_or_folder, labels=labels, lower=lower, root=root, dataset_name=dataset_name
    )
    ready = prepare(opened.model, pick_dtype(dtype, place), place)
    return Model(ready, tokenizer or opened.tokenizer, opened.checkpoint, place)
