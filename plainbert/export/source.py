"""What is exported: a model over padded batches, with one output, and all that belongs to it.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from plainbert.checkpoint.sentence import SentenceSettings
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, UsageError
from plainbert.export.names import TASKS, task_of
from plainbert.export.origin import Origin, origin_of
from plainbert.model_zoo import LoadedModel
from plainbert.nn.bert import Bert
from plainbert.nn.headed import Headed
from plainbert.nn.heads import Embedding
from plainbert.nn.layout import Padded
from plainbert.nn.pooling import Pooling
from plainbert.tasks.embedding.encode import pooling_of
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        model: in evaluation mode, float32, on the CPU, not prepared.
        task: a key of :data:`plainbert.export.names.TASKS`.
        tokenizer: that the model was trained with; it is written beside the export.
        max_length: tokens of an input at most, counting [CLS] and [SEP].
        labels: names of classes or tags by id; empty for other tasks.
        pooling: how vectors are made of tokens; for "embedding" alone.
        name: what it came from.
        about: what its folder says besides, such as how windows are cut.
        sentence: what its folder says of vectors, prompts among it.
        origin: where it comes from.
    """

    model: Headed | Bert
    task: str
    tokenizer: Tokenizer
    max_length: int
    labels: tuple[str, ...] = ()
    pooling: Pooling | None = None
    name: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    sentence: SentenceSettings = SentenceSettings()
    origin: Origin = Origin()

    @property
    def config(self) -> BertConfig:
        """Sizes."""
        return self.model.config

    @property
    def body(self) -> Bert:
        """The encoder without its head."""
        return self.model if isinstance(self.model, Bert) else self.model.bert

    def module(self) -> nn.Module:
        """The model as a function of padded tensors; its weights are the model's own.

        Shape:
            - input_ids, token_type_ids, attention_mask: (B, L), int64
            - output: (B, C) for classification, (B, 1) for regression, (B, L, 2) for
              question_answering, (B, L, C) for ner, (B, D') for embedding, or (B, L, D') where its
              pooling is "none". Rows of padding mean nothing.
        """
        if self.task != "embedding":
            return _OverPadded(cast(Headed, self.model)).eval()
        assert self.pooling is not None
        return _OverPadded(Embedding(self.body, self.pooling)).eval()


def source_of(
    opened: LoadedModel, name: str, pooling: Pooling | None = None, max_length: int | None = None
) -> Source:
    """Take a model that was opened.

    Args:
        opened: the model, in float32.
        name: what the user called it.
        pooling: for an encoder; as the folder says when not given, else the mean.
        max_length: tokens of an input at most; as the folder says when not given.

    Raises:
        CheckpointError: no format has a graph for its head.
        UsageError: a pooling that cannot be exported, or a length that the model does not have.
    """
    task = task_of(opened.head)
    if task is None:
        raise CheckpointError(
            f"{name} has a {opened.head} head, which no format has a graph for. What can be "
            f"exported: {', '.join(TASKS)}. For the encoder alone: export.py --task embedding."
        )
    model, stored = opened.model, opened.checkpoint
    most = model.config.max_position_embeddings
    if max_length is not None and not 2 <= max_length <= most:
        raise UsageError(f"{max_length} tokens: the model has {most} positions.")
    if task == "embedding" and pooling is None:
        pooling = pooling_of(stored)
    if task == "embedding":
        _say_what_is_not_in_it(name, stored.sentence)
    if pooling is not None and pooling.mask_cls_sep:
        raise UsageError("mask_cls_sep cannot be exported.")
    labels: tuple[str, ...] = ()
    if task in ("classification", "ner"):
        labels = model.config.label_names
    about = {key: value for key, value in stored.about.items() if key != "base"}
    return Source(
        model.float().cpu().eval(),
        task,
        opened.tokenizer,
        max_length or min(stored.max_length or most, most),
        labels,
        pooling if task == "embedding" else None,
        name,
        about,
        stored.sentence,
        origin_of(stored, name),
    )


def _say_what_is_not_in_it(name: str, sentence: SentenceSettings) -> None:
    """Warn of what a folder does around its model, which an export cannot."""
    if sentence.prompt:
        log.warning(
            "%s puts %r before every text; predict.py of the export does, other programs must",
            name,
            sentence.prompt,
        )
    if any(sentence.prompts.values()) and not sentence.include_prompt:
        log.warning("%s leaves a prompt's tokens out of its vectors; the export counts them", name)
    if sentence.truncate_dim is not None:
        log.warning(
            "%s keeps the first %d numbers of a vector; predict.py of the export does, the model "
            "itself gives all",
            name,
            sentence.truncate_dim,
        )


class _OverPadded(nn.Module):
    """A model as a function of what runtimes are given."""

    def __init__(self, model: Headed) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs: Tensor = self.model(input_ids, token_type_ids, Padded(attention_mask))
        return outputs
