"""The order in which a run sees its data, and what that depends on."""

from __future__ import annotations

import logging
from typing import Any

from plainbert.batching.sampler import Sampler
from plainbert.errors import CheckpointError
from plainbert.text.tokenizer import Tokenizer
from plainbert.train.progress import RunProgress
from plainbert.train.settings import Settings
from plainbert.train.training_set import TrainingSet

_FINGERPRINTS = ("data", "vocabulary")

log = logging.getLogger(__name__)


def sampler_of(
    train: TrainingSet, settings: Settings, ranks: int, progress: RunProgress
) -> Sampler:
    """The sampler of a run; on another number of ranks than it began with, its batches stay.

    Args:
        train: the examples.
        settings: of the run.
        ranks: processes that share a step.
        progress: of the run so far, which knows the size of its global batch.
    """
    accumulate, size = settings.accumulate, settings.per_step(ranks)
    began = progress.order.get("per_step", size)
    if began != size and _is_shared_anew(settings, ranks, progress, began):
        # As many forward passes as keep one of them at the batch size, which memory allows.
        accumulate = -(-began // (settings.batch_size * ranks))
        log.warning(
            "the flags stand for %d per step on %d rank(s), and the run began with %d: to keep "
            "that, each step takes %d forward pass(es).",
            size,
            ranks,
            began,
            accumulate,
        )
        size = began
    return Sampler(
        train.lengths,
        settings.batch_size,
        settings.seed,
        accumulate,
        ranks,
        bucket=settings.group_by_length,
        tokens=settings.use_avg_len,
        global_size=size,
    )


def _is_shared_anew(settings: Settings, ranks: int, progress: RunProgress, began: int) -> bool:
    """Whether the number of ranks, and nothing else, gives a step another size than it had.

    Now, or when the run was resumed before, with the flags of today.
    """
    if progress.ranks != ranks:
        return True
    if progress.planned is None:  # an earlier version's: on some number of ranks it comes out even
        return began % settings.per_step(1) == 0
    return progress.planned == settings.per_step(ranks)


def order_of(
    train: TrainingSet, settings: Settings, sampler: Sampler, tokenizer: Tokenizer
) -> dict[str, Any]:
    """All that the order depends on, as checkpoints keep it."""
    return {
        **train.identity,
        "vocabulary": tokenizer.vocab.sha256[:16],
        "seed": settings.seed,
        "bucket": settings.group_by_length,
        "by_tokens": settings.use_avg_len,
        "per_step": sampler.global_size,
        "first_step": settings.first_step,
    }


def check_order(began: dict[str, Any], order: dict[str, Any]) -> None:
    """Refuse to go on with another order of the data than the run began with.

    Args:
        began: what the order of the run depends on so far; empty when it has not begun.
        order: what it would depend on now.

    Raises:
        CheckpointError: names what differs.
    """
    if not began:
        return
    if unknown := [key for key in _FINGERPRINTS if key in order and key not in began]:
        log.warning(
            "the run was begun by a version that kept no fingerprint of its %s: see to it that "
            "it is still the same.",
            " and ".join(unknown),
        )
    keys = [key for key in {**order, **began} if key not in unknown]
    if differ := [key for key in keys if began.get(key) != order.get(key)]:
        was = ", ".join(
            f"other {key}"
            if key in _FINGERPRINTS
            else f"{key} {began.get(key)}, now {order.get(key)}"
            for key in differ
        )
        raise CheckpointError(
            f"the run was started with {was}. A resumed run sees the data in the order in which "
            "it began: use the same values, or start anew with --overwrite."
        )
