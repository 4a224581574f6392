"""The proof of an export: its own runtime computes what the source does, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from plainbert import ragged
from plainbert.batching.features import Features, featurize
from plainbert.errors import CheckpointError
from plainbert.export.runner import Floats, Ids, Runner
from plainbert.export.source import Source
from plainbert.infer import finite

ROWS = 8  # texts of a batch
SECONDS = 1.0  # that each side is timed
TOLERANCE = 1e-4  # of the largest difference, in float32
ERROR = 0.15  # of quantised models: for vectors, a cosine of about 0.99


@dataclass(frozen=True)
class Check:
    """What came of comparing.

    Attributes:
        texts: number of texts.
        difference: largest one between outputs, relative to 1 or, above it, to the output.
        error: length of all differences together, relative to that of the outputs.
        exported: texts per second of the exported model, padded in batches.
        source: texts per second of the source, in torch and float32.
    """

    texts: int
    difference: float
    error: float
    exported: float
    source: float

    def line(self) -> str:
        """For the user."""
        return (
            f"{self.texts} texts: largest difference {self.difference:.1e}, relative error "
            f"{self.error:.1e}; {self.exported:.1f} texts/s, the source in torch {self.source:.1f}"
        )


def check(
    source: Source, runner: Runner, texts: Sequence[tuple[str, ...]], quantized: bool = False
) -> Check:
    """Run both on the same texts.

    Args:
        source: the model that was exported.
        runner: the exported file, opened in its runtime.
        texts: texts or pairs; long ones are cut.
        quantized: whether it is int8, which must be within ``ERROR`` instead of ``TOLERANCE``.

    Raises:
        CheckpointError: they differ by more.
        NotFiniteError: the source computes nothing that could be compared.
    """
    features = featurize(source.tokenizer, list(texts), source.max_length)
    parts = batches(features)
    module = source.module()

    def own(ids: Ids, types: Ids, mask: Ids) -> Floats:
        with torch.inference_mode():
            outputs: Floats = module(*map(torch.from_numpy, (ids, types, mask))).float().numpy()
        return outputs

    pairs = []
    for ids, types, mask in parts:
        one, two = own(ids, types, mask), runner.run(ids, types, mask)
        if one.shape != two.shape:
            raise CheckpointError(f"the export gives {two.shape} outputs, its source {one.shape}.")
        # Per token, padding means nothing.
        pairs.append((one[mask > 0], two[mask > 0]) if one.ndim == 3 else (one, two))
    expected, exported = (np.concatenate(outputs) for outputs in zip(*pairs, strict=True))
    tokens = ragged.rows(features.lengths)
    per_token = len(expected) != len(features)
    finite.check(expected, finite.named(texts), (lambda: tokens) if per_token else None)
    apart = np.abs(expected - exported)
    difference = float((apart / np.maximum(1.0, np.abs(expected))).max())
    error = float(np.linalg.norm(apart) / max(float(np.linalg.norm(expected)), 1e-12))
    limit, value = (ERROR, error) if quantized else (TOLERANCE, difference)
    if not value <= limit:  # also when it is no number
        raise CheckpointError(
            f"the export differs from its source by {value:.1e}, more than {limit:.0e}: it is not "
            "kept." + (" Calibrate with more texts, like those it is for." if quantized else "")
        )
    speeds = [_speed(run, parts, len(features)) for run in (runner.run, own)]
    return Check(len(features), difference, error, *speeds)


def batches(features: Features) -> list[tuple[Ids, Ids, Ids]]:
    """Padded batches of ids, types and mask, in the order of the rows; each (B, L)."""
    parts = []
    for first in range(0, len(features), ROWS):
        lengths = features.lengths[first : first + ROWS]
        tokens = slice(features.offsets[first], features.offsets[first + len(lengths)])
        real = np.arange(lengths.max()) < lengths[:, None]
        ids, types = (np.zeros(real.shape, np.int64) for _ in range(2))
        ids[real], types[real] = features.ids[tokens], features.types[tokens]
        parts.append((ids, types, real.astype(np.int64)))
    return parts


def _speed(
    run: Callable[[Ids, Ids, Ids], Floats], parts: Sequence[tuple[Ids, Ids, Ids]], rows: int
) -> float:
    """Texts per second."""
    start, passes = perf_counter(), 0
    while passes == 0 or perf_counter() - start < SECONDS:
        for part in parts:
            run(*part)
        passes += 1
    return rows * passes / (perf_counter() - start)
