"""Texts to vectors, and what is near them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
import torch
from torch import Tensor

from plainbert import arguments
from plainbert.errors import UsageError
from plainbert.model.portable import Portable
from plainbert.model.results import Match, Results
from plainbert.nn.pooling import Pooling
from plainbert.tasks.embedding import encode as embedding
from plainbert.tasks.embedding import similarity
from plainbert.tasks.embedding.encode import Vectors, pooling_of
from plainbert.text.inputs import MOST_TEXTS, Many, Texts, texts_of

# Prompts that sentence-transformers puts before what is searched, the first that a folder has.
DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class EncodeOptions(TypedDict, total=False):
    """Keywords of :meth:`Encodes.encode`."""

    pooling_strategy: str | None
    pooling_layer: Sequence[int] | int
    mask_cls_sep: bool
    normalize: bool | None
    max_len: int | None
    num_workers: int
    bar: bool
    prompt: str | None
    prompt_name: str | None
    pairs: bool
    batch_size: int | None
    truncate_dim: int | None
    device: torch.device | str | None
    convert_to_numpy: bool
    show_progress_bar: bool | None
    normalize_embeddings: bool


class Encodes(Portable):
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

    @overload
    def encode(
        self, texts: Texts, *, convert_to_tensor: Literal[True], **options: Unpack[EncodeOptions]
    ) -> Tensor: ...
    @overload
    def encode(
        self,
        texts: Texts,
        *,
        convert_to_tensor: Literal[False] = ...,
        **options: Unpack[EncodeOptions],
    ) -> Vectors: ...
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
        batch_size: int | None = None,
        truncate_dim: int | None = None,
        device: torch.device | str | None = None,
        convert_to_tensor: bool = False,
        convert_to_numpy: bool = True,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
    ) -> Vectors | Tensor:
        """One vector per text, float32, in the order of the texts.

        Args:
            texts: a text, or several: a list, tuple, column or iterator of texts. A tuple inside is
                a pair; ``("a", "b")`` itself are two texts.
            pooling_strategy: how token vectors become one, such as "mean" or "cls"; the folder's
                own when not given.
            pooling_layer: layers counted from the end; several are joined end to end.
            mask_cls_sep: leave [CLS] and [SEP] out, of attention and of pooling.
            normalize: whether vectors get length 1; as the folder says when not given.
            max_len: tokens kept per text; the folder's limit when not given.
            num_workers: processes that tokenise; 0 does it in this one.
            bar: show progress.
            prompt: text put before each; the folder's default prompt when not given.
            prompt_name: one of the folder's prompts, such as "query", in its place.
            pairs: every row is a pair, as a tuple or a list.
            batch_size: texts of ``max_len`` tokens that go through the model together, and more of
                shorter ones; what is fast when not given.
            truncate_dim: numbers kept of each vector, the first ones; as the folder says when not
                given.
            device: move the model there first, as :meth:`to` does.
            convert_to_tensor: return a tensor on the model's device.
            convert_to_numpy: return an array; a tensor wins where both are asked for.
            show_progress_bar: show progress; sentence-transformers' word for ``bar``.
            normalize_embeddings: True scales to length 1, as ``normalize`` does; False leaves it to
                the folder, as in sentence-transformers.

        Returns:
            (N, D'), or (D',) for one text.
        """
        if device is not None:
            self.to(device)
        if arguments.whether("normalize_embeddings", normalize_embeddings):
            if normalize is False:
                raise UsageError("normalize=False and normalize_embeddings=True: give one of them.")
            normalize = True
        rows = texts_of(texts, most=MOST_TEXTS, grouped=arguments.whether("pairs", pairs))
        limit = self._limit(max_len)
        pooling = self.pooling(pooling_strategy, pooling_layer, mask_cls_sep, normalize)
        vectors = embedding.encode(
            self.body,
            self.tokenizer,
            embedding.prompted(rows, self.checkpoint, prompt, prompt_name),
            pooling,
            max_len=limit,
            tokens_per_batch=self._tokens(batch_size, limit),
            num_workers=num_workers,
            bar=bar or bool(show_progress_bar),
        )
        kept = embedding.kept_numbers(self.checkpoint.sentence, pooling)
        if truncate_dim is not None:
            kept = arguments.whole("truncate_dim", truncate_dim)
        vectors = vectors[:, :kept]
        if truncate_dim is not None and normalize:  # a part of a vector of length 1 is shorter
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        result = vectors[0] if isinstance(texts, str) else vectors
        if convert_to_tensor or not convert_to_numpy:
            return torch.from_numpy(np.ascontiguousarray(result)).to(self.device)
        return result

    def encode_tokens(
        self,
        texts: Texts,
        *,
        pooling_strategy: str = "NONE",
        pooling_layer: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        normalize: bool | None = None,
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
            normalize: whether every token's vector gets length 1; None does not.
            max_len: tokens kept per text.
            bar: show progress.
            prompt: text put before each; the folder's default prompt when not given.
            prompt_name: one of the folder's prompts, such as "query", in its place.
            pairs: every row is a pair, as a tuple or a list.

        Returns:
            for each text (L, D'), float32.
        """
        pooling = self.pooling(
            pooling_strategy,
            pooling_layer,
            mask_cls_sep,
            arguments.whether("normalize", normalize or False),
        )
        texts = texts_of(texts, most=MOST_TEXTS, grouped=pairs)
        rows = embedding.prompted(texts, self.checkpoint, prompt, prompt_name)
        parts = (self.body, self.tokenizer, rows, pooling)
        return embedding.encode_tokens(*parts, max_len=self._limit(max_len), bar=bar)[1]

    def similarity(self, first: Any, second: Any) -> Any:
        """How much each of the first is like each of the second; more is more alike.

        The function is the folder's, or the cosine where it names none; distances (euclidean,
        manhattan) have a minus before them.

        Args:
            first: vectors (N, D), as an array or a tensor; or texts, which are encoded.
            second: (M, D), or texts.

        Returns:
            (N, M), an array; a tensor where the first are one.

        Raises:
            UsageError: they are neither, or of different width.
        """
        left, right = self._vectors("first", first), self._vectors("second", second)
        table = similarity.compare(left, right, self.checkpoint.sentence.similarity_fn_name)
        return torch.from_numpy(table).to(first.device) if isinstance(first, Tensor) else table

    @overload
    def search(
        self, query: str, texts: Any, *, top_k: int = ..., bar: bool = ...
    ) -> Results[Match]: ...
    @overload
    def search(
        self, query: Many, texts: Any, *, top_k: int = ..., bar: bool = ...
    ) -> list[Results[Match]]: ...
    def search(
        self, query: Texts, texts: Any, *, top_k: int = 10, bar: bool = False
    ) -> Results[Match] | list[Results[Match]]:
        """The texts that are most like a query, the best first.

        Before queries stands the folder's prompt "query", before texts its "document", "passage" or
        "corpus", where it has them, as in sentence-transformers.

        Args:
            query: a text, or several.
            texts: texts; or their vectors from :meth:`encode`, to search again and again.
            top_k: how many of them.
            bar: show progress.

        Returns:
            place, score and text of each; a list of these for several queries.
        """
        count = arguments.whole("top_k", top_k)
        rows = texts_of(query, "query")
        left = self.encode(rows, prompt_name=self._prompt("query"))
        listed: list[Any] | None = None
        if _are_vectors(texts):
            right = similarity.rows_of("texts", texts)
        else:
            listed = texts_of(texts, most=MOST_TEXTS)
            right = self.encode(listed, prompt_name=self._prompt(*DOCUMENT_PROMPTS), bar=bar)
        table = similarity.compare(left, right, self.checkpoint.sentence.similarity_fn_name)
        matches = [
            Results(
                Match(place, float(scores[place]), _text(listed[place]) if listed else "")
                for place in best
            )
            for best, scores in zip(similarity.nearest(table, count).tolist(), table, strict=True)
        ]
        return matches[0] if isinstance(query, str) else matches

    def _prompt(self, *names: str) -> str | None:
        """The first of these prompts that the folder has."""
        prompts = self.checkpoint.sentence.prompts
        return next((name for name in names if name in prompts), None)

    def _vectors(self, name: str, value: Any) -> Vectors:
        """Vectors as they are, texts encoded."""
        if _are_vectors(value):
            return similarity.rows_of(name, value)
        return self.encode(texts_of(value, name, MOST_TEXTS))


def _are_vectors(value: Any) -> bool:
    """Whether a caller hands over numbers and no texts."""
    if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiu"):
        return True
    first = value[0] if isinstance(value, list | tuple) and len(value) else None
    numbers = isinstance(first, list | tuple) and len(first) and not isinstance(first[0], str)
    return numbers or isinstance(first, float | Tensor | np.ndarray)


def _text(row: str | tuple[str, ...]) -> str:
    return row if isinstance(row, str) else " ||| ".join(row)
