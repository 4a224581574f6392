"""From the model flags of a command line to a model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plainbert import model_zoo
from plainbert.hub import records

# Flags that overrule the model's own config.
OVERRIDES = {
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}


def name_of(args: argparse.Namespace) -> str:
    """The folder or name that the flags ask for.

    ``--model_dir``, ``--model_parameters`` and ``--pretrained_bert_parameters`` take a folder, a
    file of a foreign format, or a name; else ``--bert_model`` and ``--bert_dataset`` name published
    weights, or ``--bert_model`` alone is a name such as all-MiniLM-L6-v2.

    Raises:
        UnknownNameError: no such model, or it was not published for that data set.
    """
    for flag in ("model_dir", "model_parameters", "pretrained_bert_parameters"):
        if getattr(args, flag, None) is not None:
            return str(getattr(args, flag))
    name: str = args.bert_model
    if "bert_dataset" not in args.given and model_zoo.record_of(name) is not None:
        return name
    return records.find(name, args.bert_dataset).names[0]


def open_model(
    args: argparse.Namespace,
    head: str | None = None,
    labels: Sequence[str] | None = None,
    trained: bool = False,
) -> model_zoo.LoadedModel:
    """Open what the flags ask for.

    Args:
        args: parsed flags.
        head: a name of :data:`plainbert.nn.names.HEADS`; the folder's own when not given.
        labels: of the classes.
        trained: the head must be in the folder. Otherwise one is drawn where it is missing,
            unless ``--model_parameters`` promised a whole model.
    """
    changes: dict[str, Any] = {
        field: getattr(args, flag)
        for flag, field in OVERRIDES.items()
        if getattr(args, flag, None) is not None
    }
    whole = trained or getattr(args, "model_parameters", None) is not None
    return model_zoo.open_folder(
        name_of(args),
        head,
        labels,
        fresh_head=not whole,
        lower=getattr(args, "do_lower_case", None),
        dataset_name=getattr(args, "bert_dataset", None),
        **changes,
    )
