"""Texts to vectors."""

from __future__ import annotations

from collections.abc import Sequence

from plainbert.model.base import Base
from plainbert.nn.pooling import Pooling
from plainbert.tasks.embedding import encode as embedding
from plainbert.tasks.embedding.encode import Vectors, pooling_of
from plainbert.text.inputs import MOST_TEXTS, Texts, texts_of


class Encodes(Base):
    """A model's way to vectors; every model has one, whatever its head."""

    def pooling(
        self,
        strategy: str | None = None,
        layers: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        normalize: bool | None = None,
    ) -> Pooling:
        """How to pool; see :func:`plainbert.tasks.embedding.encode.pooling_of`."""
        return pooling_of(self.checkpoint, strategy, layers, mask_cls_sep, normalize)

    def encode(
        self,
        texts: Texts,
        *,
        pooling_strategy: str | None = None,
        pooling_layer: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        normalize: bool | None = None,
        max_len: int | None = None,
        num_workers: int = 0,
        bar: bool = False,
        prompt: str | None = None,
        prompt_name: str | None = None,
        pairs: bool = False,
    ) -> Vectors:
        """One vector per text, float32, in the order of the texts.

        Args:
            texts: a text, or several: a list, tuple, column or iterator of texts. A tuple inside is
                a pair; ``("a", "b")`` itself are two texts.
            pooling_strategy: how token vectors become one, such as "mean" or "cls"; the folder's
                own when not given.
            pooling_layer: layers counted from the end; several are joined end to end.
            mask_cls_sep: leave [CLS] and [SEP] out, of attention and of pooling.
            normalize: scale vectors to length 1.
            max_len: tokens kept per text; the folder's limit when not given.
            num_workers: processes that tokenise; 0 does it in this one.
            bar: show progress.
            prompt: text put before each; the folder's default prompt when not given.
            prompt_name: one of the folder's prompts, such as "query", in its place.
            pairs: every row is a pair, as a tuple or a list.

        Returns:
            (N, D'), or (D',) for one text.
        """
        rows = texts_of(texts, most=MOST_TEXTS, grouped=pairs)
        vectors = embedding.encode(
            self.body,
            self.tokenizer,
            embedding.prompted(rows, self.checkpoint, prompt, prompt_name),
            self.pooling(pooling_strategy, pooling_layer, mask_cls_sep, normalize),
            max_len=self._limit(max_len),
            num_workers=num_workers,
            bar=bar,
        )
        if pooling_strategy is None:
            vectors = vectors[:, : self.checkpoint.sentence.truncate_dim]
        return vectors[0] if isinstance(texts, str) else vectors

    def encode_tokens(
        self,
        texts: Texts,
        *,
        pooling_strategy: str = "NONE",
        pooling_layer: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        max_len: int | None = None,
        bar: bool = False,
        prompt: str | None = None,
        prompt_name: str | None = None,
        pairs: bool = False,
    ) -> list[Vectors]:
        """The vectors of each text's tokens, [CLS] and [SEP] included.

        Args:
            texts: texts, or pairs.
            pooling_strategy: NONE, the only one that is none.
            pooling_layer: layers counted from the end; several are joined end to end.
            mask_cls_sep: hide [CLS] and [SEP] from attention; their vectors are zero.
            max_len: tokens kept per text.
            bar: show progress.
            prompt: text put before each; the folder's default prompt when not given.
            prompt_name: one of the folder's prompts, such as "query", in its place.
            pairs: every row is a pair, as a tuple or a list.

        Returns:
            for each text (L, D'), float32.
        """
        pooling = self.pooling(pooling_strategy, pooling_layer, mask_cls_sep)
        texts = texts_of(texts, most=MOST_TEXTS, grouped=pairs)
        rows = embedding.prompted(texts, self.checkpoint, prompt, prompt_name)
        parts = (self.body, self.tokenizer, rows, pooling)
        return embedding.encode_tokens(*parts, max_len=self._limit(max_len), bar=bar)[1]
