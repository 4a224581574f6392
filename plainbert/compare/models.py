"""Compare two models, or a model with what another engine makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from plainbert.compare import batch, engines, own
from plainbert.compare.columns import Columns, matching
from plainbert.compare.difference import Row, Spread
from plainbert.compare.names import ENGINES
from plainbert.compare.own import Outputs
from plainbert.errors import CheckpointError
from plainbert.model_zoo import LoadedModel
from plainbert.text.samples import TEXTS

DTYPES = {"float64": torch.float64, "float32": torch.float32}
MUST_AGREE = ("num_hidden_layers", "hidden_size")  # else there is nothing to subtract
SHOULD_AGREE = (
    "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps", "type_vocab_size",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What was compared and how far apart it is.

    Attributes:
        first: the first model.
        second: the second, or the engine.
        rows: one per output, from the embeddings to the head.
        tolerance: largest absolute difference that is still called equal.
        texts: number of texts.
        tokens: number of real tokens.
        dtype: numbers that our models computed in, "float64" or "float32".
        notes: what was not compared, or differs without being a number.
    """

    first: str
    second: str
    rows: tuple[Row, ...]
    tolerance: float
    texts: int
    tokens: int
    dtype: str
    notes: tuple[str, ...] = ()

    @property
    def above(self) -> tuple[Row, ...]:
        """The outputs that differ by more than the tolerance."""
        return tuple(row for row in self.rows if not row.within(self.tolerance))

    @property
    def equal(self) -> bool:
        """Whether none does."""
        return not self.above


def two(
    one: LoadedModel,
    other: LoadedModel,
    texts: Sequence[tuple[str, ...]] = TEXTS,
    *,
    tolerance: float = 1e-5,
    dtype: str = "float64",
    max_len: int | None = None,
    names: tuple[str, str] | None = None,
) -> Report:
    """Compare two models of ours.

    Args:
        one: the first model; it is changed to ``dtype``, and so is the other.
        other: the second.
        texts: one to three texts per row.
        tolerance: largest absolute difference that is still called equal.
        dtype: "float64" shows differences of the weights only, "float32" also those of rounding.
        max_len: tokens kept per row; longer rows are an error when not given.
        names: what the report calls the models; their folders when not given.

    Raises:
        CheckpointError: the models, or their heads, are of different sizes.
        UsageError: the tokenizers cut the texts differently, or a text is too long.
    """
    names = names or (str(one.checkpoint.folder), str(other.checkpoint.folder))
    notes = _check_sizes(one, other, names)
    columns, remarks = matching(one, other)
    first, second = batch.make((one, other), texts, max_len)
    rows, missing = _gather(
        own.run(one, first, DTYPES[dtype]), own.run(other, second, DTYPES[dtype]), columns
    )
    notes += [*remarks, *missing, *_unknown(first, one)]
    tokens = _tokens(first)
    return Report(*names, rows, tolerance, len(texts), tokens, dtype, tuple(notes))


def reference(
    opened: LoadedModel,
    engine: str,
    texts: Sequence[tuple[str, ...]] = TEXTS,
    *,
    tolerance: float = 1e-5,
    dtype: str = "float64",
    max_len: int | None = None,
    python: str | Path | None = None,
    name: str | None = None,
) -> Report:
    """Compare a model of ours with the same weights run by another engine.

    Args:
        opened: the model; it is changed to ``dtype``.
        engine: a name of :data:`plainbert.compare.names.ENGINES`.
        texts: one to three texts per row.
        tolerance: largest absolute difference that is still called equal.
        dtype: "float64" or "float32", of our side and of engines that have both; MXNet computes in
            float32.
        max_len: tokens kept per row; longer rows are an error when not given.
        python: the Python that has the engine, for those that run in a process of their own.
        name: what the report calls the model; its folder when not given.

    Raises:
        UsageError: the engine is not installed.
        CheckpointError: the engine cannot take the weights.
    """
    (batches,) = batch.make((opened,), texts, max_len)
    with engines.start(opened, engine, batches, dtype, python) as theirs:
        rows, missing = _gather(own.run(opened, batches, DTYPES[dtype]), theirs, {})
    notes = [*missing, *_known(opened, engine), *_unknown(batches, opened)]
    tokens = _tokens(batches)
    second = f"{engine} ({ENGINES[engine].what})"
    first = name or str(opened.checkpoint.folder)
    return Report(first, second, rows, tolerance, len(texts), tokens, dtype, tuple(notes))


def _gather(
    ours: Iterator[Outputs], theirs: Iterator[Outputs], columns: dict[str, Columns]
) -> tuple[tuple[Row, ...], list[str]]:
    """Differences of the outputs that both sides have, and notes on the others."""
    spreads: dict[str, Spread] = {}
    only: dict[str, str] = {}
    for left, right in zip(ours, theirs, strict=True):
        for name in (*left, *right):
            if name not in left or name not in right:
                side = "first" if name in left else "second"
                only[name] = f"{name}: only the {side} model has it; not compared"
        for name in (name for name in left if name in right):
            one, two = left[name], right[name]
            if name in columns:
                one, two = one[..., columns[name][0]], two[..., columns[name][1]]
            if one.shape != two.shape:
                raise CheckpointError(
                    f"{name}: the first model's have shape {one.shape}, the second's {two.shape}."
                )
            spreads.setdefault(name, Spread()).add(np.asarray(one), np.asarray(two))
    return tuple(spread.row(name) for name, spread in spreads.items()), list(only.values())


def _check_sizes(one: LoadedModel, other: LoadedModel, names: tuple[str, str]) -> list[str]:
    """Notes on settings that differ.

    Raises:
        CheckpointError: the widths or the numbers of layers do.
    """
    pairs = {
        name: (getattr(one.model.config, name), getattr(other.model.config, name))
        for name in (*MUST_AGREE, *SHOULD_AGREE)
    }
    apart = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if set(apart) & set(MUST_AGREE):
        sizes = ", ".join(f"{name} {left} and {right}" for name, (left, right) in apart.items())
        raise CheckpointError(
            f"{names[0]} and {names[1]} are models of different sizes ({sizes}); only models with "
            "as many layers of the same width can be compared."
        )
    return [f"{name} differs: {left} and {right}" for name, (left, right) in apart.items()]


def _known(opened: LoadedModel, engine: str) -> list[str]:
    """What an engine is known to do otherwise."""
    act = opened.model.config.hidden_act
    if engine != "mxnet" or act == "gelu" or opened.head not in ("masked_lm", "pretraining"):
        return []
    return [f"MLM logits: GluonNLP's decoder has the erf GELU whatever the model's ({act}) is"]


def _tokens(batches: Sequence[batch.PaddedBatch]) -> int:
    """How many tokens there are, padding left out."""
    return sum(int(part.lengths.sum()) for part in batches)


def _unknown(batches: Sequence[batch.PaddedBatch], opened: LoadedModel) -> list[str]:
    share = batch.unknown_share(batches, opened.tokenizer.vocab)
    if share < 0.25:
        return []
    return [f"{share:.0%} of the tokens are unknown; --sentences of the model's own kind say more"]
