"""Which examples make up each optimizer step: a pure function of (seed, epoch, step).

Nothing is remembered between steps, so the position in the data is the step number, and a run
that continues at step 1200 sees what it would have seen. Never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from plainbert.errors import UsageError

MEGA = 50  # global batches whose examples are sorted by length together


class Sampler:
    """Every example exactly once an epoch, in batches of similar length.

    The shuffled ids of ``MEGA`` global batches are sorted by length and cut; then the order of
    the batches is shuffled. What does not fill a global batch is drawn at random and comes last.

    Args:
        lengths: tokens of each example; (N,).
        batch_size: examples of one micro-batch on one rank. A global batch, the examples of one
            optimizer step, has ``batch_size * accumulate * ranks``.
        seed: same seed, same order.
        accumulate: micro-batches per step.
        ranks: processes that share a step.
        bucket: False leaves out the sorting by length.

    Raises:
        UsageError: there are no examples, or a size is not positive.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        batch_size: int,
        seed: int,
        accumulate: int = 1,
        ranks: int = 1,
        bucket: bool = True,
    ) -> None:
        for name, value in (
            ("batch_size", batch_size), ("accumulate", accumulate), ("ranks", ranks),
        ):  # fmt: skip
            if value < 1:
                raise UsageError(f"{name}={value}: a whole number of at least 1 is expected.")
        if len(lengths) == 0:
            raise UsageError("there are no examples to train on.")
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.seed = seed
        self.accumulate = accumulate
        self.ranks = ranks
        self.bucket = bucket
        self.global_size = batch_size * accumulate * ranks
        self.steps_per_epoch = -(-len(self.lengths) // self.global_size)
        self._order = lru_cache(maxsize=1)(self._shuffle)

    def epoch(self, step: int) -> int:
        """The pass over the data that a step (from 0) belongs to, from 0."""
        return step // self.steps_per_epoch

    def examples(self, step: int) -> NDArray[np.int64]:
        """Ids of the global batch of a step; (at most ``global_size``,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.global_size
        return self._order(epoch)[start : start + self.global_size]

    def batch(self, step: int, rank: int = 0) -> list[NDArray[np.int64]]:
        """Ids of each micro-batch of one rank.

        Examples are dealt out like cards, so that sizes differ by at most one and every part has
        short and long ones. Of a small last batch, some parts may be empty.

        Args:
            step: optimizer updates already applied.
            rank: in [0, ranks).

        Returns:
            ``accumulate`` arrays.
        """
        ids = self.examples(step)
        parts = self.ranks * self.accumulate
        return [ids[micro * self.ranks + rank :: parts] for micro in range(self.accumulate)]

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        """Ids of all examples in the order of an epoch; (N,)."""
        # Raw bits and a stable sort: numpy promises these for every version, not `permutation`.
        bits = np.random.PCG64(np.random.SeedSequence([self.seed, epoch]))
        ids = np.argsort(bits.random_raw(len(self.lengths)), kind="stable")
        if not self.bucket:
            return ids
        full = len(ids) // self.global_size
        body, rest = np.split(ids, [full * self.global_size])
        mega = MEGA * self.global_size
        for start in range(0, len(body), mega):
            part = body[start : start + mega]
            part[:] = part[np.argsort(self.lengths[part], kind="stable")]
        batches = body.reshape(full, self.global_size)
        order = np.argsort(bits.random_raw(full), kind="stable") if full else slice(0)
        return np.concatenate([batches[order].ravel(), rest])
