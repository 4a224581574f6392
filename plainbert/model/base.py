"""What a model is made of, and what it says of itself."""

from __future__ import annotations

import torch

from plainbert import arguments
from plainbert.batching.features import Features
from plainbert.checkpoint import Checkpoint
from plainbert.nn.bert import Bert
from plainbert.nn.headed import Headed
from plainbert.tasks.embedding import encode as embedding
from plainbert.text.inputs import MOST_TEXTS, Texts, texts_of
from plainbert.text.tokenizer import Tokenizer


class Base:
    """A prepared model, its tokenizer, and what its folder says about how to use them.

    Args:
        model: on its device and in its precision, as :func:`plainbert.infer.prepare.prepare` leaves
            it.
        tokenizer: the one that the model was trained with.
        checkpoint: its folder.
        device: where the model is.
    """

    def __init__(
        self,
        model: Bert | Headed,
        tokenizer: Tokenizer,
        checkpoint: Checkpoint,
        device: torch.device,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.checkpoint = checkpoint
        self.device = device

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

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes by id."""
        names = self.model.config.id2label
        return names or tuple(f"LABEL_{row}" for row in range(self.model.config.num_labels))

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
