"""The order in which a run sees its data, and what that depends on."""

from __future__ import annotations

import logging
from typing import Any

from plainbert.batching.sampler import Sampler
from plainbert.errors import CheckpointError
from plainbert.train.progress import RunProgress
from plainbert.train.settings import Settings
from plainbert.train.training_set import TrainingSet

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
    accumulate = settings.accumulate
    size = settings.batch_size * accumulate * ranks
    began = progress.order.get("per_step", size)
    if began != size and progress.ranks != ranks:
        # As many forward passes as keep one of them at the batch size, which memory allows.
        size, accumulate = began, -(-began // (settings.batch_size * ranks))
        log.warning(
            "the run began with %d ranks and goes on with %d: to keep %d per step, each takes "
            "%d forward passes.",
            progress.ranks,
            ranks,
            size,
            accumulate,
        )
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


def order_of(train: TrainingSet, settings: Settings, sampler: Sampler) -> dict[str, Any]:
    """All that the order depends on, as checkpoints keep it."""
    return {
        **train.identity,
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
    if began and began != order:
        differ = [key for key in order if began.get(key) != order[key]]
        was = ", ".join(f"{key} {began.get(key)}, now {order[key]}" for key in differ)
        raise CheckpointError(
            f"the run was started with {was}. A resumed run sees the data in the order in which "
            "it began: use the same values, or start anew with --overwrite."
        )
