"""Texts to vectors: prepare, run.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`; D' is the width of
the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import arguments
from plainbert.batching.batch import TOKENS_PER_BATCH, Batch
from plainbert.batching.features import Features, tokenized
from plainbert.checkpoint import Checkpoint
from plainbert.checkpoint.sentence import SentenceSettings
from plainbert.errors import UsageError
from plainbert.infer import finite, threads
from plainbert.infer.precision import FLOAT32
from plainbert.infer.prepare import precision_of
from plainbert.nn.bert import Bert
from plainbert.nn.headed import Headed
from plainbert.nn.heads import Embedding
from plainbert.nn.names import POOLINGS, kind_of
from plainbert.nn.pooling import Pooling
from plainbert.tasks.embedding.prompts import PromptedTexts, prompt_tokens
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
MEAN = Pooling()


def encode(
    model: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    pooling: Pooling = MEAN,
    *,
    max_len: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    num_workers: int = 0,
    bar: bool = False,
) -> Vectors:
    """One vector per text, in the order of the texts.

    How many texts were cut at the limit is logged as a warning.

    Args:
        model: a prepared body, see :func:`plainbert.infer.prepare.prepare`.
        tokenizer: the one that the model was trained with.
        texts: texts, or pairs. An empty text is [CLS] [SEP].
        pooling: how token vectors become one; not "none", see :func:`encode_tokens`.
        max_len: tokens kept per text, counting [CLS] and [SEP]; the model's positions when None.
        tokens_per_batch: tokens that go through the model together.
        num_workers: processes that tokenise; 0 does it in this one.
        bar: show progress.

    Returns:
        (N, D'), float32.

    Raises:
        NotFiniteError: vectors are not finite; the texts are named.
        UsageError: the pooling does not fit the model, or ``max_len`` its positions.
    """
    if pooling.kind == "none":
        raise UsageError("pooling NONE gives no vector per text; encode_tokens gives each token's.")
    features = prepare(model, tokenizer, texts, max_len, num_workers, bar)
    skip = 0 if pooling.include_prompt else prompt_tokens(texts, tokenizer)
    embedding = Embedding(model, pooling, _specials(tokenizer), skip)
    vectors = run(embedding, features, tokens_per_batch, bar)
    finite.check(vectors, finite.named(texts))
    return vectors


def encode_tokens(
    model: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    pooling: Pooling = MEAN,
    *,
    max_len: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> tuple[Features, list[Vectors]]:
    """The vector of every token, [CLS] and [SEP] included: pooling NONE.

    Args:
        model: a prepared body, see :func:`plainbert.infer.prepare.prepare`.
        tokenizer: the one that the model was trained with.
        texts: texts, or pairs. An empty text is [CLS] [SEP].
        pooling: its layers, ``mask_cls_sep`` (the rows of [CLS] and [SEP] are zero), normalize.
        max_len: tokens kept per text, counting [CLS] and [SEP]; the model's positions when None.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Returns:
        the ids of the tokens, and for each text an array (L, D'), float32.
    """
    features = prepare(model, tokenizer, texts, max_len, bar=bar)
    every_token = replace(pooling, kind="none")
    embedding = Embedding(model, every_token, _specials(tokenizer))
    vectors = run_tokens(embedding, features, tokens_per_batch, bar)
    bad = [row for row, vector in enumerate(vectors) if not np.isfinite(vector).all()]
    finite.refuse(bad, finite.named(texts))
    return features, vectors


def prepare(
    model: Bert | Headed,
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    max_len: int | None = None,
    num_workers: int = 0,
    bar: bool = False,
) -> Features:
    """Texts as ids, the first step; a warning says how many were cut.

    Args:
        model: its positions limit ``max_len``.
        tokenizer: the one that the model was trained with.
        texts: texts, or pairs.
        max_len: tokens kept per text, counting [CLS] and [SEP]; the model's positions when None.
        num_workers: processes that tokenise; 0 does it in this one.
        bar: show progress.

    Raises:
        UsageError: ``max_len`` is more than the model has positions.
    """
    positions = model.config.max_position_embeddings
    return tokenized(tokenizer, texts, max_len, positions, num_workers, bar)


def run(
    embedding: Embedding,
    features: Features,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> Vectors:
    """The vector of every row, the second and last step: pooling is part of the model.

    Args:
        embedding: a prepared body with a pooling that gives one vector per row.
        features: the rows; there may be none.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Returns:
        (N, D'), float32.
    """
    vectors = np.zeros((len(features), embedding.width), np.float32)

    def keep(batch: Batch, rows: Vectors) -> None:
        vectors[batch.index] = rows

    _run(embedding, features, keep, tokens_per_batch, bar)
    return vectors


def run_tokens(
    embedding: Embedding,
    features: Features,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> list[Vectors]:
    """The vectors of every row's tokens.

    Args:
        embedding: a prepared body with the pooling "none".
        features: the rows; there may be none.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Returns:
        for each row an array (L, D'), float32: a view into those of its batch.
    """
    vectors: list[Any] = [None] * len(features)

    def keep(batch: Batch, rows: Vectors) -> None:
        stops = features.lengths[batch.index].cumsum()
        for row, part in zip(batch.index, np.split(rows, stops[:-1]), strict=True):
            vectors[row] = part

    _run(embedding, features, keep, tokens_per_batch, bar)
    return vectors


def pooling_of(
    checkpoint: Checkpoint,
    strategy: str | None = None,
    layers: Sequence[int] | int = (-1,),
    mask_cls_sep: bool = False,
    normalize: bool | None = None,
) -> Pooling:
    """How to pool: as the folder says, where nothing else is asked for.

    Args:
        checkpoint: the model's folder.
        strategy: a name of :data:`plainbert.nn.names.POOLINGS`. The folder's own when not
            given, or the mean if it states none.
        layers: counted from the end; one, or several.
        mask_cls_sep: leave [CLS] and [SEP] out.
        normalize: whether vectors get length 1. When not given: those of texts as the folder
            says, whichever pooling is named, and not where it says nothing; tokens' never.

    Raises:
        UsageError: the folder's own pooling is one we do not have; layers that are no numbers.
    """
    own = checkpoint.pooling
    if strategy is None and own is not None and own not in POOLINGS:
        raise UsageError(
            f"{checkpoint.folder} pools by {own[:100]!r}, which is not supported. Choose one "
            f"with pooling_strategy: {', '.join(POOLINGS)}."
        )
    kind = kind_of(strategy or own or "mean")
    if normalize is None:
        normalize = kind != "none" and checkpoint.normalize
    several = isinstance(layers, Sequence | np.ndarray) and not isinstance(layers, str | bytes)
    counted: Any = layers if several else [layers]
    numbers = tuple(arguments.whole("pooling_layer", layer, least=None) for layer in counted)
    return Pooling(kind, numbers, mask_cls_sep, normalize, checkpoint.sentence.include_prompt)


def kept_numbers(sentence: SentenceSettings, pooling: Pooling) -> int | None:
    """How many numbers of a sentence's vector the folder keeps, the first ones; None for all.

    Vectors that are joined end to end are kept whole: their first numbers would be those of the
    first part alone.

    Args:
        sentence: what the folder says of its vectors.
        pooling: the folder's own, or another.
    """
    return None if pooling.is_joined else sentence.truncate_dim


def prompted(
    texts: Sequence[str | tuple[str, ...]],
    checkpoint: Checkpoint,
    prompt: str | None = None,
    prompt_name: str | None = None,
) -> PromptedTexts:
    """Texts with a prompt before each; of a pair, before its first text.

    Args:
        texts: texts, or pairs.
        checkpoint: the model's folder, which may state a default prompt.
        prompt: the text itself, "" for none. The folder's default when neither is given.
        prompt_name: one of the folder's prompts.

    Raises:
        UsageError: the folder has no prompt of that name, or both were given.
    """
    own = checkpoint.sentence
    if prompt is not None and prompt_name is not None:
        raise UsageError("prompt and prompt_name exclude each other.")
    if prompt_name is not None:
        if prompt_name not in own.prompts:
            names = ", ".join(own.prompts) or "none"
            raise UsageError(
                f"{checkpoint.folder} has no prompt {prompt_name!r}; it has {names}. Or give the "
                "text itself as prompt."
            )
        prompt = own.prompts[prompt_name]
    if prompt is None and own.prompt:
        log.info(
            "every text begins with the folder's default prompt, %r; prompt_name chooses another "
            "(%s), an empty prompt is none",
            own.prompt,
            ", ".join(own.prompts),
        )
    before = own.prompt if prompt is None else prompt
    return PromptedTexts(texts, before)


def _run(
    model: Embedding,
    features: Features,
    keep: Callable[[Batch, Vectors], None],
    tokens_per_batch: int,
    bar: bool,
) -> None:
    """Call a function with every batch and its vectors."""
    pair = bool(features.types.any())

    def work(batch: Batch) -> None:
        vectors = model(batch.ids, batch.types if pair else None, batch.layout)
        keep(batch, vectors.float().cpu().numpy())

    threads.run(work, features, model.device, tokens_per_batch, bar, precision_of(model) or FLOAT32)


def _specials(tokenizer: Tokenizer) -> tuple[int, ...]:
    return (tokenizer.vocab.cls_id, tokenizer.vocab.sep_id)
