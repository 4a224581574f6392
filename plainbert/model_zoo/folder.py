"""Open a checkpoint folder as the model that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from plainbert import arguments, checkpoint
from plainbert.checkpoint import Checkpoint, LoadReport
from plainbert.checkpoint.names import bare_names
from plainbert.checkpoint.writer import check_vocabulary
from plainbert.cli.program import command
from plainbert.config import BertConfig, placeholders
from plainbert.errors import CheckpointError, FormatError, UnknownNameError
from plainbert.hub import records
from plainbert.hub.lookup import path_of, record_of
from plainbert.model_zoo.find import resolve
from plainbert.model_zoo.stored import ForeignCheckpoint, read_stored, tokenizer_of
from plainbert.nn.bert import Bert
from plainbert.nn.headed import Headed
from plainbert.nn.heads import MultipleChoice
from plainbert.nn.models import MODELS
from plainbert.nn.names import HEADS, problem_type_of
from plainbert.text.tokenizer import Tokenizer

PADDED = 0.9  # matrices are padded to round numbers; this share of their rows is used at least

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model from a folder, ready to use.

    Attributes:
        model: :class:`plainbert.nn.bert.Bert` or a model with a head, in evaluation mode.
        tokenizer: the folder's.
        checkpoint: the folder's config, length limit and pooling.
        head: which head it has, a name of :data:`plainbert.nn.names.HEADS`.
        report: which weights were loaded, drawn new, or left out.
    """

    model: Bert | Headed
    tokenizer: Tokenizer
    checkpoint: Checkpoint
    head: str
    report: LoadReport

    @classmethod
    def untrained(cls, model: Bert | Headed, tokenizer: Tokenizer, head: str) -> LoadedModel:
        """A model with random weights, of no folder."""
        nothing = Checkpoint(Path(), model.config, {}, ())
        return cls(model.eval(), tokenizer, nothing, head, LoadReport(0, (), ()))

    @property
    def headed(self) -> Headed:
        """The model, where it has a head.

        Raises:
            CheckpointError: it is an encoder only.
        """
        if isinstance(self.model, Headed):
            return self.model
        raise CheckpointError(
            f"{self.checkpoint.folder} holds an encoder without a head; fine-tune it first, for "
            f"example with {command('finetune_classifier')}."
        )


def open_folder(
    name_or_folder: str | Path,
    head: str | None = None,
    labels: Sequence[str] | None = None,
    fresh_head: bool = False,
    lower: bool | None = None,
    root: str | Path | None = None,
    dataset_name: str | None = None,
    **changes: Any,
) -> LoadedModel:
    """Open a folder or file of any format, or a name, as the model that is wanted.

    Args:
        name_or_folder: a model's name, folder or file, see :func:`resolve`.
        head: a name of :data:`plainbert.nn.names.HEADS`; what config.json says when not given.
        labels: class or tag names by id; config.json's when not given.
        fresh_head: draw a head new where the folder has none that fits. Fine-tuning only.
        lower: whether to lower-case, for folders that do not say.
        root: download cache.
        dataset_name: what a GluonNLP or Google checkpoint without a vocabulary was trained on, see
            :func:`plainbert.model_zoo.list_models`.
        changes: fields of the config to change, such as ``attention_probs_dropout_prob=0.0``.

    Raises:
        UnknownNameError: no such name or head.
        CheckpointError: parts are missing or disagree; with ``fresh_head`` false, also when the
            folder has no such head, or one for other labels.
    """
    name_or_folder = arguments.path("the model", name_or_folder)
    labels = None if labels is None else arguments.texts("labels", labels)
    if dataset_name is not None:
        arguments.text("dataset_name", dataset_name)
    record = record_of(str(name_or_folder)) if path_of(name_or_folder) is None else None
    stored = read_stored(resolve(name_or_folder, root), labels=labels)
    if record is None and dataset_name is not None and isinstance(stored, ForeignCheckpoint):
        record = records.trained_on(dataset_name)
    tokenizer = tokenizer_of(stored, lower, record, root=root)
    return open_stored(stored, tokenizer, head, labels, fresh_head, **changes)


def open_stored(
    stored: Checkpoint,
    tokenizer: Tokenizer,
    head: str | None = None,
    labels: Sequence[str] | None = None,
    fresh_head: bool = False,
    **changes: Any,
) -> LoadedModel:
    """Make the model of a checkpoint that was read; arguments as for :func:`open_folder`."""
    head = head or stored.head or "embedding"
    if head not in HEADS:
        raise UnknownNameError("head", head, HEADS)
    config, skip = _config_for(stored, head, labels, fresh_head)
    check_vocabulary(len(tokenizer.vocab), config.vocab_size, str(stored.folder))
    _say_small(len(tokenizer.vocab), config.vocab_size, str(stored.folder))
    tensors = _in_order(stored.tensors(), stored.config.id2label, config.id2label)
    pooler = any(name.endswith("pooler.dense.weight") for name in tensors)
    model = unfilled(config.replace(**changes), head, pooler, stored.about)
    report = checkpoint.load(model, tensors, fresh_head, skip, str(stored.folder))
    return LoadedModel(model.eval(), tokenizer, stored, head, report)


def stored_of(name_or_folder: str | Path, root: str | Path | None = None) -> Checkpoint:
    """What a folder or name says about its model; no weights are read."""
    return read_stored(resolve(name_or_folder, root))


def labels_of(name_or_folder: str | Path, root: str | Path | None = None) -> tuple[str, ...] | None:
    """The class names of a folder or name, by id; None where it states none."""
    return stored_of(name_or_folder, root).config.id2label


def _config_for(
    stored: Checkpoint, head: str, labels: Sequence[str] | None, fresh_head: bool
) -> tuple[BertConfig, tuple[str, ...]]:
    """The config of the wanted head, and stored heads that must not be taken for it."""
    config = stored.config
    skip: tuple[str, ...] = ()
    architecture = HEADS[head].architecture
    same = config.architectures[:1] in ((), (architecture,))
    names = tuple(labels) if labels is not None else config.id2label if same else None
    if head == "regression":
        names = names if names and len(names) == 1 else ("LABEL_0",)
    if not same or (config.id2label and names and not _agree(config.id2label, names)):
        # Sequence, token and choice classifiers all call their last layer "classifier".
        skip = ("classifier",)
    if same and skip and not fresh_head:
        raise CheckpointError(
            f"{stored.folder} was trained for the labels {', '.join(config.id2label or ())}; the "
            f"task's are {', '.join(names or ())}. Use the task it was trained for, or fine-tune "
            "it for this one."
        )
    if not skip and names and config.id2label and len(names) > 1:
        _say_order(str(stored.folder), config.id2label, names)
    stated = config.problem_type if stored.head == head else None
    return (
        config.replace(
            id2label=names,
            problem_type=problem_type_of(head, stated),
            architectures=(architecture,),
        ),
        skip,
    )


def _say_small(pieces: int, rows: int, source: str) -> None:
    """Warn of a vocabulary that is much smaller than the embedding matrix."""
    if pieces < PADDED * rows:
        log.warning(
            "%s: the vocabulary has %d entries, and the model has vectors for %d. Is it the one "
            "that the model was trained with? With another, the results mean nothing.",
            source,
            pieces,
            rows,
        )


def _say_order(source: str, stored: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Warn where nothing tells which of a task's classes each of the model's is."""
    if _are_placeholders(stored) and not _are_placeholders(names):
        log.warning(
            "%s calls its classes %s: they are taken to be %s, in this order. If it was trained "
            "with another order, labels are swapped: put the names into id2label of its "
            "config.json.",
            source,
            ", ".join(stored[:4]) + (" ..." if stored[4:] else ""),
            ", ".join(names),
        )


def _agree(stored: tuple[str, ...], labels: tuple[str, ...]) -> bool:
    """Whether labels mean the same, in any order; the placeholders LABEL_0 ... stand for any."""
    if len(stored) == len(labels) and (_are_placeholders(stored) or _are_placeholders(labels)):
        return True
    return sorted(map(str.casefold, stored)) == sorted(map(str.casefold, labels))


def _are_placeholders(labels: tuple[str, ...]) -> bool:
    """Whether names are those that transformers gives classes without names."""
    return labels == placeholders(len(labels))


def _in_order(
    tensors: dict[str, Tensor], stored: tuple[str, ...] | None, labels: tuple[str, ...] | None
) -> dict[str, Tensor]:
    """Tensors with the rows of the classifier in the order of the wanted labels.

    MNLI's classes, for one, are numbered differently by GLUE, GluonNLP and on the Hub.
    """
    folded = [label.casefold() for label in stored or ()]
    names = [label.casefold() for label in labels or ()]
    if folded == names or sorted(folded) != sorted(names) or len(set(folded)) < len(folded):
        return tensors
    order = torch.tensor([folded.index(label) for label in names])
    log.info("classes reordered from %s to %s", ", ".join(stored or ()), ", ".join(labels or ()))
    bare = bare_names(tensors)
    return {
        name: tensor[order] if bare[name].startswith("classifier.") else tensor
        for name, tensor in tensors.items()
    }


def unfilled(config: BertConfig, head: str, pooler: bool, about: dict[str, Any]) -> Bert | Headed:
    """A model whose parameters have no memory: loading gives each of them its stored tensor."""
    with checkpoint.MetaInit():
        model: Bert | Headed
        if head == "embedding":
            model = Bert(config, pooler=pooler)
        elif head == "multiple_choice" and "num_choices" in about:
            model = MultipleChoice(config, _choices(about["num_choices"]))
        else:
            model = cast(Any, MODELS[head])(config)
    return model


def _choices(stated: Any) -> int:
    """The number of choices that ``plainbert.json`` states."""
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 1:
        raise FormatError(f"plainbert.json: num_choices={stated!r} is not a number of choices.")
    return stated
