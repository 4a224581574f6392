"""The taggers that commands open: ours, and those that GluonNLP's script left behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from plainbert import files
from plainbert.formats.gluonnlp import metadata as gluonnlp_metadata
from plainbert.model import Model, load
from plainbert.recipes.shared.start import Run

OLD_LENGTH = 200  # tokens that GluonNLP's predict_ner.py let a model see

log = logging.getLogger(__name__)


def open_tagger(
    model_dir: str,
    run: Run,
    *,
    labels: Sequence[str] | None = None,
    dataset_name: str | None = None,
    lower: bool | None = None,
) -> Model:
    """Open a tagger.

    Args:
        model_dir: a folder or name, the folder of a run (its best model, else its last), or the
            prefix of GluonNLP's files.
        run: says where the model computes, and in which precision.
        labels: names of the classes by id, for models that do not store them.
        dataset_name: what an old checkpoint without a vocabulary was trained on.
        lower: whether to lower-case, for folders that do not say.

    Raises:
        CheckpointError: there is nothing, or it is incomplete.
        FormatError: the metadata beside a prefix is garbled.
    """
    place = files.followed(model_dir)
    source: str | Path = model_dir
    if not place.exists() and (weights := gluonnlp_metadata.last_weights(place)) is not None:
        source, metadata = weights, gluonnlp_metadata.metadata_of(weights)
        log.info("the newest weights of %s are %s", place, weights)
        if metadata is not None:
            labels = labels or metadata.tags
            dataset_name = dataset_name or metadata.dataset_name
    return load(
        source,
        dtype=run.precision,
        device=run.device,
        lower=lower,
        labels=labels,
        dataset_name=dataset_name,
    )


def length_of(model: Model, max_len: int | None) -> int:
    """Tokens that a tagger sees at a time: what was typed, the folder's limit, or 200."""
    length: int | None = max_len or model.checkpoint.max_length
    return length or min(OLD_LENGTH, model.max_len)
