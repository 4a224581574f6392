"""Tiny models to export to MXNet, and what torch computes with them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from plainbert import checkpoint
from plainbert.export.mxnet.format import MXNetFormat
from plainbert.export.names import TASKS
from plainbert.export.source import Source
from plainbert.formats.gluonnlp import reader
from plainbert.nn.models import MODELS
from plainbert.nn.pooling import Pooling
from tests.helpers import folders

FIXTURES = folders.FIXTURES / "gluonnlp"
EXPECTED = dict(np.load(FIXTURES / "expected.npz"))
OF_TOKENS = ("question_answering", "ner")
Batch = tuple[Tensor, Tensor, Tensor]


def tiny(task: str, pooling: Pooling | None = None, **changes: Any) -> Source:
    """A random model for a task."""
    model = folders.tiny(TASKS[task], **changes)
    if task == "embedding":
        pooling = pooling or Pooling("mean")
    labels = folders.LABELS if task in ("classification", "ner") else ()
    return Source(cast(Any, model), task, folders.tokenizer(), 32, labels, pooling)


def batches() -> tuple[Batch, Batch]:
    """Two of different shapes, the second one with every position of the tiny models."""
    lengths = torch.tensor([32, 1])
    mask = (torch.arange(32) < lengths[:, None]).long()
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(5, len(folders.TOKENS), (2, 32), generator=draw) * mask
    return folders.batch(), (ids, ids % 2 * mask, mask)


def stored(task: str) -> Source:
    """A model that real GluonNLP wrote; what real MXNet computed with it is in ``EXPECTED``."""
    found = reader.read(FIXTURES / f"{task}.params", num_heads=4)
    model = MODELS[TASKS[task]](found.config)
    checkpoint.load(model, found.tensors)
    return Source(model.eval(), task, folders.tokenizer(), 40)


def stored_batch(suffix: str = "") -> Batch:
    """The inputs of the stored outputs."""
    ids, types = (torch.from_numpy(EXPECTED[f"data{k}{suffix}"]).long() for k in (0, 1))
    lengths = torch.from_numpy(EXPECTED[f"data2{suffix}"]).long()
    return ids, types, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


def by_torch(source: Source, batch: Batch, dtype: torch.dtype = torch.float32) -> Tensor:
    """The outputs; zeros for the tokens of padding, which mean nothing."""
    with torch.no_grad():
        found: Tensor = copy.deepcopy(source.module()).to(dtype)(*batch)
    return without_padding(found, batch)


def without_padding(found: Tensor, batch: Batch) -> Tensor:
    """Outputs with zeros for the tokens of padding."""
    return found * batch[2][..., None] if found.dim() == 3 else found


def export(source: Source, folder: Path, **options: Any) -> Path:
    """Write the files, with the vocabulary beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    MXNetFormat(**options).write(source, folder)
    source.tokenizer.save(folder)
    return folder
