"""What a model is made of, and what it says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from plainbert import arguments
from plainbert.batching.batch import TOKENS_PER_BATCH
from plainbert.batching.features import Features
from plainbert.checkpoint import Checkpoint
from plainbert.infer.precision import FLOAT32, Precision
from plainbert.infer.prepare import precision_of
from plainbert.nn.bert import Bert
from plainbert.nn.headed import Headed
from plainbert.nn.names import HEADS
from plainbert.tasks.embedding import encode as embedding
from plainbert.text.inputs import MOST_TEXTS, Texts, texts_of
from plainbert.text.tokenizer import Tokenizer

SHOWN_LABELS = 8  # of the labels, in a line that describes the model


class Base:
    """A prepared model, its tokenizer, and what its folder says about how to use them.

    Args:
        model: on its device and in its precision, as :func:`plainbert.infer.prepare.prepare` leaves
            it.
        tokenizer: the one that the model was trained with.
        checkpoint: its folder.
        device: where the model is.
        original: the model before it was prepared, where no folder keeps its weights.
        name: what users call it; by its folder when not given.

    Attributes:
        scores: of the fine-tuning that ended with this object, split to metric to score.
    """

    def __init__(
        self,
        model: Bert | Headed,
        tokenizer: Tokenizer,
        checkpoint: Checkpoint,
        device: torch.device,
        original: Bert | Headed | None = None,
        name: str | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.checkpoint = checkpoint
        self.device = device
        self._original = original
        self.name = name or _name_of(checkpoint.folder)
        self.scores: dict[str, dict[str, float]] = {}

    def __repr__(self) -> str:
        config = self.model.config
        parts = [
            f"{HEADS[self.head].architecture}, {config.num_hidden_layers} layers of "
            f"{config.hidden_size}",
        ]
        if task := self.checkpoint.about.get("task"):
            parts.append(f"task {task}")
        if self.head in ("classification", "token_classification"):
            labels = self.labels
            more = f" and {len(labels) - SHOWN_LABELS} more" * (len(labels) > SHOWN_LABELS)
            parts.append(f"labels {', '.join(labels[:SHOWN_LABELS])}{more}")
        if self.head == "embedding":
            parts.append(f"pooling {self.checkpoint.pooling or 'mean'}")
        parts += [f"{self.max_len} tokens", f"{self.device}, {self.precision}"]
        return f"<plainbert.Model {self.name}: {'; '.join(parts)}>"

    @property
    def head(self) -> str:
        """What the model computes, a name of :data:`plainbert.nn.names.HEADS`."""
        return "embedding" if isinstance(self.model, Bert) else self.model.head

    @property
    def precision(self) -> Precision:
        """The number format of the matrix products."""
        return precision_of(self.model) or FLOAT32

    @property
    def body(self) -> Bert:
        """The encoder without its head."""
        return self.model if isinstance(self.model, Bert) else self.model.bert

    @property
    def max_len(self) -> int:
        """Tokens kept per text: the folder's limit, or the model's positions."""
        most = self.model.config.max_position_embeddings
        return min(self.checkpoint.max_length or most, most)

    def _limit(self, max_len: int | None) -> int:
        """Tokens kept per text: what a caller says, else what the folder does."""
        return self.max_len if max_len is None else arguments.whole("max_len", max_len)

    def _tokens(self, batch_size: int | None, limit: int) -> int:
        """Tokens that go through the model together: so many texts of the longest kind."""
        if batch_size is None:
            return TOKENS_PER_BATCH
        return arguments.whole("batch_size", batch_size) * limit

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes by id."""
        return self.model.config.label_names

    def tokenize(self, text: str) -> list[str]:
        """Sub-words of a text, without [CLS] and [SEP]."""
        return self.tokenizer.tokenize(arguments.text("text", text))

    def features(
        self, texts: Texts, max_len: int | None = None, bar: bool = False, *, pairs: bool = False
    ) -> Features:
        """Texts as ids; a warning says how many were cut.

        Args:
            texts: a text, or a list or tuple of texts or of pairs.
            max_len: tokens kept per text; the folder's limit when not given.
            bar: show progress.
            pairs: every row is a pair, as a tuple or a list.
        """
        limit = self._limit(max_len)
        rows = texts_of(texts, most=MOST_TEXTS, grouped=pairs)
        return embedding.prepare(self.model, self.tokenizer, rows, limit, bar=bar)


def _name_of(folder: Path) -> str:
    """The name of a folder; of a run's checkpoint with the run's before it."""
    if re.fullmatch(r"step-\d+|best|last", folder.name) and folder.parent.name:
        return f"{folder.parent.name}/{folder.name}"
    return folder.name or "without a folder"
