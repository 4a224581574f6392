"""Tiny models to export to ONNX, and how far a runtime is from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plainbert.export.names import TASKS
from plainbert.export.runner import Runner
from plainbert.export.source import Source
from plainbert.nn.pooling import Pooling
from tests.helpers import folders

HERE = Path(__file__).resolve().parents[2]
SHAPES = [(2, 8), (1, 2), (1, 1), (3, 17), (5, 32), (1, 32)]
POOLINGS = (
    Pooling(), Pooling("max"), Pooling("mean_max", layers=(-1, -2), normalize=True),
    Pooling("first"), Pooling("last"), Pooling("pooled"),
    Pooling("none", layers=(-2,)),
)  # fmt: skip


def cases() -> list[Any]:
    """Task, activation and pooling of every kind of model."""
    found = [(task, "gelu", None) for task in TASKS if task != "embedding"]
    found += [("classification", name, None) for name in ("relu", "gelu_new", "gelu_pytorch_tanh")]
    found += [("embedding", "gelu", each) for each in POOLINGS]
    return [
        pytest.param(*each, id=f"{each[0]}-{each[1]}-{each[2].kind if each[2] else 'head'}")
        for each in found
    ]


def layers_for(activation: str, pooling: Pooling | None) -> int:
    """One layer where a second one adds nothing to the case, and takes as long to write."""
    is_deep = activation == "gelu" and (pooling is None or pooling.layers != (-1,))
    return 2 if is_deep else 1


def made(
    task: str, activation: str = "gelu", pooling: Pooling | None = None, **changes: Any
) -> Source:
    """A tiny random model."""
    model = folders.tiny(TASKS[task], hidden_act=activation, **changes)
    labels = folders.LABELS if task in ("classification", "ner") else ()
    most = model.config.max_position_embeddings
    return Source(model, task, folders.tokenizer(), most, labels, pooling)


def batch(rows: int, length: int, words: int = 12) -> list[torch.Tensor]:
    """Random ids, types and mask; rows after the first have padding, of whatever ids."""
    generator = torch.Generator().manual_seed(rows * 1000 + length)
    lengths = torch.randint(1, length + 1, (rows,), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length) < lengths[:, None]).long()
    ids = torch.randint(0, words, (rows, length), generator=generator)
    types = torch.randint(0, 2, (rows, length), generator=generator)
    return [ids, types, mask]


def difference(
    source: Source, runner: Runner, shapes: Sequence[tuple[int, int]] = tuple(SHAPES)
) -> float:
    """The largest one over batches of several shapes, at tokens, relative to 1 or the outputs."""
    found = [0.0]
    for rows, length in shapes:
        parts = batch(rows, length, source.config.vocab_size)
        with torch.inference_mode():
            wanted = source.module()(*parts).numpy()
        scores = runner.run(*(each.numpy() for each in parts))
        assert scores.shape == wanted.shape
        assert scores.dtype == np.float32
        if scores.ndim == 3:
            real = parts[2].numpy() > 0
            scores, wanted = scores[real], wanted[real]
        found.append(float(np.abs(scores - wanted).max() / max(1, np.abs(wanted).max())))
    return max(found)
