"""Texts to vectors.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`; D' is the width of
the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plainbert.batching.batch import TOKENS_PER_BATCH, Batch
from plainbert.batching.features import Features, tokenized
from plainbert.checkpoint import Checkpoint
from plainbert.errors import UsageError
from plainbert.infer import threads
from plainbert.infer.prepare import is_narrow
from plainbert.nn.bert import Bert, Output
from plainbert.nn.layout import Padded
from plainbert.nn.names import POOLINGS, kind_of
from plainbert.nn.pooling import Pooling, normalize, pool
from plainbert.text.tokenizer import Tokenizer

Vectors = NDArray[np.float32]
MEAN = Pooling()


def encode(
    model: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    pooling: Pooling = MEAN,
    *,
    max_len: int | None = None,
    device: torch.device | str = "cpu",
    tokens_per_batch: int = TOKENS_PER_BATCH,
    num_workers: int = 0,
    bar: bool = False,
) -> Vectors:
    """One vector per text, in the order of the texts.

    How many texts were cut at the limit is logged as a warning.

    Args:
        model: a prepared body, see :func:`plainbert.infer.prepare.prepare`.
        tokenizer: the model's.
        texts: texts, or pairs. An empty text is [CLS] [SEP].
        pooling: how token vectors become one; not "none", see :func:`encode_tokens`.
        max_len: tokens kept per text, counting [CLS] and [SEP]; the model's positions when None.
        device: where the model is.
        tokens_per_batch: tokens that go through the model together.
        num_workers: processes that tokenise; 0 does it in this one.
        bar: show progress.

    Returns:
        (N, D'), float32.

    Raises:
        UsageError: the pooling does not fit the model, or ``max_len`` its positions.
    """
    if pooling.kind == "none":
        raise UsageError("pooling NONE gives no vector per text; encode_tokens gives each token's.")
    features = tokenized(
        tokenizer, texts, max_len, model.config.max_position_embeddings, num_workers, bar
    )
    width = model.config.hidden_size
    width *= len(pooling.layers) * (2 if pooling.kind == "mean_max" else 1)
    found = np.zeros((len(features), width), np.float32)
    states = _Runner(model, tokenizer, features, pooling, device)

    def work(batch: Batch) -> None:
        hidden, mask, pooled = states(batch)
        if pooling.kind != "pooled":
            pooled = pool(pooling.kind, hidden, batch.layout.lengths(), mask)
        assert pooled is not None
        vectors = normalize(pooled) if pooling.normalize else pooled
        found[batch.index] = vectors.float().cpu().numpy()

    threads.run(work, features, device, tokens_per_batch, bar, is_narrow(model))
    return found


def encode_tokens(
    model: Bert,
    tokenizer: Tokenizer,
    texts: Sequence[str | tuple[str, ...]],
    pooling: Pooling = MEAN,
    *,
    max_len: int | None = None,
    device: torch.device | str = "cpu",
    tokens_per_batch: int = TOKENS_PER_BATCH,
    bar: bool = False,
) -> tuple[Features, list[Vectors]]:
    """The vector of every token, [CLS] and [SEP] included: pooling NONE.

    Args:
        model: as for :func:`encode`; so are the others.
        tokenizer: the model's.
        texts: texts, or pairs.
        pooling: its layers and ``mask_cls_sep`` (then the rows of [CLS] and [SEP] are zero).
        max_len: tokens kept per text.
        device: where the model is.
        tokens_per_batch: tokens that go through the model together.
        bar: show progress.

    Returns:
        the ids of the tokens, and for each text an array (L, D'), float32.
    """
    features = tokenized(tokenizer, texts, max_len, model.config.max_position_embeddings, 0, bar)
    found: list[Any] = [None] * len(features)
    states = _Runner(model, tokenizer, features, pooling, device)

    def work(batch: Batch) -> None:
        hidden, mask, _ = states(batch)
        if mask is not None:
            hidden = hidden * mask[:, None]
        rows = hidden.float().cpu().numpy()
        stops = features.lengths[batch.index].cumsum()
        for row, part in zip(batch.index, np.split(rows, stops[:-1]), strict=True):
            found[row] = part

    threads.run(work, features, device, tokens_per_batch, bar, is_narrow(model))
    return features, found


def pooling_of(
    checkpoint: Checkpoint,
    strategy: str | None = None,
    layers: Sequence[int] = (-1,),
    mask_cls_sep: bool = False,
    normalize: bool | None = None,
) -> Pooling:
    """How to pool: as the folder says, where nothing else is asked for.

    Args:
        checkpoint: the model's folder.
        strategy: a name of :data:`plainbert.nn.names.POOLINGS`. The folder's own when not
            given, or the mean if it states none.
        layers: counted from the end.
        mask_cls_sep: leave [CLS] and [SEP] out.
        normalize: scale vectors to length 1. When not given: as the folder says, for its own
            pooling; else no.

    Raises:
        UsageError: the folder's own pooling is one we do not have.
    """
    own = checkpoint.pooling
    if strategy is None and own is not None and own not in POOLINGS:
        raise UsageError(
            f"{checkpoint.folder} pools by {own!r}, which is not supported. Choose one "
            f"with pooling_strategy: {', '.join(POOLINGS)}."
        )
    kind = kind_of(strategy or own or "mean")
    if normalize is None:
        normalize = strategy is None and checkpoint.normalize
    return Pooling(kind, tuple(layers), mask_cls_sep, normalize)


class _Runner:
    """Runs batches of a data set through a model, as far as a pooling needs."""

    def __init__(
        self,
        model: Bert,
        tokenizer: Tokenizer,
        features: Features,
        pooling: Pooling,
        device: torch.device | str,
    ) -> None:
        self.model, self.pooling = model, pooling
        self.options: dict[str, Any] = {
            "depth": pooling.depth(model.config.num_hidden_layers),
            "every_layer": len(pooling.layers) > 1,
            "pool": pooling.kind == "pooled",
        }
        if pooling.kind == "pooled" and model.pooler is None:
            raise UsageError(
                "CLS_POOLED needs a pooler, and these weights have none; try CLS_TOKEN."
            )
        self.pair = bool(features.types.any())
        vocab = tokenizer.vocab
        self.specials = torch.tensor([vocab.cls_id, vocab.sep_id], device=device)

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Hidden states (T, D'), which tokens count (T,), pooler's output (B, D)."""
        types = batch.types if self.pair else None
        if not self.pooling.mask_cls_sep:
            output = self.model(batch.ids, types, layout=batch.layout, **self.options)
            return self._joined(output), None, output.pooled
        mask = ~torch.isin(batch.ids, self.specials)
        # Nobody attends to masked tokens; they themselves see the others. Such batches are rare,
        # so they are padded rather than a case of their own in every layout.
        lengths = batch.layout.lengths()
        real = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]  # (B, L)

        def spread(packed: Tensor) -> Tensor:
            return packed.new_zeros(real.shape).masked_scatter_(real, packed)  # (T,) -> (B, L)

        seen = spread(mask)
        # A text without a word attends to its [CLS] and [SEP] after all; its vector is zero anyway.
        seen = torch.where(seen.any(1, keepdim=True), seen, real)
        types = None if types is None else spread(types)
        output = self.model(spread(batch.ids), types, layout=Padded(seen), **self.options)
        return self._joined(output)[real], mask, output.pooled

    def _joined(self, output: Output) -> Tensor:
        """The layers to pool, end to end: (..., D')."""
        if output.layers is None:
            return output.hidden
        count = self.model.config.num_hidden_layers + 1
        return torch.cat([output.layers[count + layer] for layer in self.pooling.layers], -1)
