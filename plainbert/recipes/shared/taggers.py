"""From ``--model_dir`` or an old ``--load-checkpoint-prefix`` to a tagger."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from plainbert.formats.gluonnlp import metadata as gluonnlp_metadata
from plainbert.model import Model, load
from plainbert.recipes.shared.start import Run

log = logging.getLogger(__name__)

OLD_LENGTH = 200  # tokens that GluonNLP's predict_ner.py let a model see


def open_tagger(args: argparse.Namespace, run: Run) -> Model:
    """Open the model that the flags name.

    Args:
        args: parsed flags: model_dir is a folder or name, a run folder (its best model), or the
            prefix of GluonNLP's files; labels, bert_dataset and do_lower_case.
        run: says where the model computes, and in which precision.

    Raises:
        CheckpointError: there is nothing, or it is incomplete.
        FormatError: the metadata beside a prefix is garbled.
    """
    place = Path(args.model_dir).expanduser()
    labels, dataset = args.labels, args.bert_dataset
    found: str | Path = args.model_dir
    if place.is_dir() and not (place / "config.json").exists():
        chosen = [place / name for name in ("best", "last") if (place / name).is_dir()]
        found = chosen[0] if chosen else place
    elif not place.exists() and (weights := gluonnlp_metadata.last_weights(place)) is not None:
        found, metadata = weights, gluonnlp_metadata.metadata_of(weights)
        log.info("the newest weights of %s are %s", place, weights)
        if metadata is not None:
            labels = labels or metadata.tags
            dataset = dataset or metadata.dataset_name
    return load(
        found,
        dtype=run.precision,
        device=run.device,
        lower=args.do_lower_case,
        labels=labels,
        dataset_name=dataset,
    )


def length_of(args: argparse.Namespace, model: Model) -> int:
    """Tokens that the model sees at a time: what was typed, the folder's limit, or 200."""
    given: int | None = args.max_len or model.checkpoint.max_length
    return given or min(OLD_LENGTH, model.max_len)
