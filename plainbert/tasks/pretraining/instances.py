"""From a plan and a store of tokens to instances: gathered and masked, many at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.corpus.tokens import Store
from plainbert.tasks.pretraining.masking import Masker, Masks
from plainbert.tasks.pretraining.plan import InstancePlan
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.tasks.pretraining.shard_file import ShardColumns

TOKENS = 1 << 16  # gathered and masked together: what fits into the caches of a core


def gather(
    store: Store, plan: InstancePlan, cls_id: int, sep_id: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Tokens of instances, without masks: ``[CLS] a [SEP] b [SEP]``, end to end.

    Returns:
        ids (T,) of the store's type, and where each instance begins in them, (N + 1,).
    """
    offsets = ragged.offsets(plan.lengths)
    # Two runs of neighbours in the store per instance: [CLS] a [SEP], with whatever stands where
    # the special tokens will be; b [SEP].
    sizes = np.stack([plan.a_length + 2, plan.b_length + 1], axis=1)  # (N, 2)
    targets = np.stack([offsets[:-1], offsets[:-1] + sizes[:, 0]], axis=1)
    sources = np.stack([plan.a_start - 1, plan.b_start], axis=1)
    index = np.repeat((sources - targets).reshape(-1), sizes.reshape(-1))  # (T,)
    index += np.arange(len(index))
    ids = np.take(np.asarray(store.ids), index, mode="clip")
    ids[offsets[:-1]] = cls_id
    ids[targets[:, 1] - 1] = sep_id
    ids[offsets[1:] - 1] = sep_id
    return ids, offsets


def slices(plan: InstancePlan, tokens: int = TOKENS) -> Iterator[InstancePlan]:
    """Cut a plan into pieces of about so many tokens, one instance at least."""
    ends = plan.lengths.cumsum()
    start = 0
    while start < len(plan):
        done = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, done + tokens, side="right")))
        yield plan.take(slice(start, end))
        start = end


def columns(
    store: Store, plan: InstancePlan, masker: Masker, cls_id: int, sep_id: int
) -> ShardColumns:
    """Instances as a shard holds them."""
    ids, offsets = gather(store, plan, cls_id, sep_id)
    masks = masker(ids, offsets, plan.keys)
    return ShardColumns(
        input_ids=ids,
        offsets=offsets,
        segment_split=plan.a_length + 2,
        masked_lm_positions=masks.positions - np.repeat(offsets[:-1], masks.counts),
        masked_lm_ids=masks.ids,
        masked_offsets=ragged.offsets(masks.counts),
        next_sentence_labels=plan.random_next,
    )


def rows(
    store: Store, plan: InstancePlan, masker: Masker, cls_id: int, sep_id: int
) -> InstanceRows:
    """Instances as a batch is made of."""
    ids, offsets = gather(store, plan, cls_id, sep_id)
    masks: Masks = masker(ids, offsets, plan.keys)
    segments = np.stack([plan.a_length + 2, plan.b_length + 1], axis=1)
    sequence = ragged.rows(masks.counts)
    return InstanceRows(
        ids=ids.astype(np.int32, copy=False),
        offsets=offsets,
        types=np.repeat(np.tile(np.array([0, 1], np.uint8), len(plan)), segments.reshape(-1)),
        masked_sequence=sequence,
        masked_positions=masks.positions - offsets[sequence],
        masked_ids=masks.ids.astype(np.int64),
        next_sentence=plan.random_next.astype(np.int64),
    )
