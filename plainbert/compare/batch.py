"""The same text for both models, each with its own ids."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plainbert.batching.features import Features, featurize
from plainbert.errors import UsageError
from plainbert.model_zoo import LoadedModel
from plainbert.text.samples import TEXTS
from plainbert.text.vocab import Vocab

log = logging.getLogger(__name__)

BATCH = 8  # texts; a batch's logits over the vocabulary are the largest thing in memory
UNCUT = 1 << 20  # tokens; more than any text here


@dataclass(frozen=True)
class PaddedBatch:
    """Texts as padded ids; T is the number of real tokens among the B * L.

    Attributes:
        ids: (B, L), int64; the padding token behind each text.
        types: segments, (B, L), int64.
        lengths: tokens of each text, (B,), int64.
        gold: start and end of an answer that the loss of a span model is computed for, (B, 2).
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    lengths: NDArray[np.int64]
    gold: NDArray[np.int64]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True at real tokens; (B, L)."""
        real: NDArray[np.bool_] = np.arange(self.ids.shape[1]) < self.lengths[:, None]
        return real


def make(
    models: Sequence[LoadedModel], texts: Sequence[tuple[str, ...]], max_len: int | None = None
) -> list[list[PaddedBatch]]:
    """Tokenise texts for each model.

    Args:
        models: one or two.
        texts: one to three texts per row.
        max_len: tokens kept per row. When not given, a row that is too long is an error, unless
            the texts are those of :mod:`plainbert.text.samples`.

    Returns:
        for each model its batches; the same rows, lengths and segments for all.

    Raises:
        UsageError: there is no text, a row is longer than a model, or two tokenizers cut a text
            into different pieces.
    """
    if not texts:
        raise UsageError("there is no text to compare on.")
    most, short = min(
        ((loaded.model.config.max_position_embeddings, loaded) for loaded in models),
        key=lambda pair: pair[0],
    )
    if max_len is not None and max_len > most:
        raise UsageError(
            f"--max_len {max_len}: {short.checkpoint.folder} has {most} positions; at most {most} "
            "tokens are possible."
        )
    if texts is TEXTS:
        max_len = max_len or most
    features = [featurize(loaded.tokenizer, texts, max_len or UNCUT) for loaded in models]
    first = features[0]
    for other in features[1:]:
        _same_pieces(first, other, models[0].tokenizer.vocab, models[1].tokenizer.vocab)
    if (longest := int(first.lengths.max())) > most:
        row = int(first.lengths.argmax())
        raise UsageError(
            f"text {row + 1} has {longest} tokens, but {short.checkpoint.folder} has only {most} "
            f"positions. Shorten it, or cut all texts with --max_len {most}."
        )
    if first.cut:
        log.warning("%d of %d rows were cut to %d tokens", first.cut, len(texts), max_len)
    segments = min(loaded.model.config.type_vocab_size for loaded in models)
    return [
        [
            _batch(rows, start, loaded.tokenizer.vocab, segments)
            for start in range(0, len(texts), BATCH)
        ]
        for loaded, rows in zip(models, features, strict=True)
    ]


def unknown_share(batches: Sequence[PaddedBatch], vocab: Vocab) -> float:
    """The share of unknown tokens among all."""
    if vocab.unk is None:
        return 0.0
    unknown = sum(int((batch.ids[batch.mask] == vocab.unk_id).sum()) for batch in batches)
    return unknown / sum(int(batch.lengths.sum()) for batch in batches)


def _batch(features: Features, start: int, vocab: Vocab, segments: int) -> PaddedBatch:
    lengths = features.lengths[start : start + BATCH].astype(np.int64)
    tokens = slice(features.offsets[start], features.offsets[start + len(lengths)])
    real = np.arange(lengths.max()) < lengths[:, None]  # (B, L)
    ids = np.full(real.shape, vocab.pad_id if vocab.pad is not None else 0, dtype=np.int64)
    types = np.zeros(real.shape, dtype=np.int64)
    ids[real] = features.ids[tokens]
    types[real] = np.minimum(features.types[tokens], segments - 1)
    gold = np.stack([lengths // 3, 2 * lengths // 3], axis=1)
    return PaddedBatch(ids, types, lengths, gold)


def _same_pieces(one: Features, two: Features, first: Vocab, second: Vocab) -> None:
    """Refuse texts that are cut differently; special tokens may have other names.

    Raises:
        UsageError: the first piece that differs.
    """
    roles = (
        {token: f"({role})" for role, token in vocab.specials.items()} for vocab in (first, second)
    )
    named, other = (
        [role.get(vocab.tokens[row], vocab.tokens[row]) for row in features.ids]
        for features, vocab, role in zip((one, two), (first, second), roles, strict=True)
    )
    for row in range(len(one)):
        left = named[one.offsets[row] : one.offsets[row + 1]]
        right = other[two.offsets[row] : two.offsets[row + 1]]
        if left == right:
            continue
        pairs = zip(left, right, strict=False)
        place = next(
            (index for index, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right))
        )
        tokens = [repr(part[place]) if place < len(part) else "nothing" for part in (left, right)]
        raise UsageError(
            f"the tokenizers cut text {row + 1} differently: token {place + 1} is {tokens[0]} in "
            f"the first model, {tokens[1]} in the second. Two models can be compared only on the "
            "same pieces; choose other --sentences, or check --do_lower_case."
        )
