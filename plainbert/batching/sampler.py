"""Which examples make up each optimizer step: a pure function of (seed, epoch, step).

Nothing is remembered between steps, so the position in the data is the step number, and a run
that continues at step 1200 sees what it would have seen. Never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.errors import UsageError

Plan = tuple[NDArray[np.int64], int, NDArray[np.int64]]
Block = tuple[NDArray[np.int64], NDArray[np.int64]]

MEGA = 50  # global batches whose examples are sorted by length together
BLOCK = 1 << 20  # examples that are shuffled together; a longer epoch takes block after block
RUN = 1 << 12  # neighbours that come into the same block


class Sampler:
    """Every example exactly once an epoch, in batches of similar length.

    The shuffled ids of ``MEGA`` global batches are sorted by length and cut; then the order of
    the batches is shuffled. What does not fill a global batch is drawn at random and comes last.

    Of more than ``BLOCK`` examples, runs of neighbours are drawn into blocks of about that size,
    and each block is shuffled when the epoch comes to it: the first step never waits for an order
    of the whole corpus.

    Args:
        lengths: tokens of each example; (N,).
        batch_size: examples of one micro-batch on one rank, or its tokens. A global batch, the
            examples of one optimizer step, has ``batch_size * accumulate * ranks``.
        seed: of the order; nothing else is random.
        accumulate: micro-batches per step.
        ranks: processes that share a step.
        bucket: whether batches hold examples of similar length; False: any.
        tokens: ``batch_size`` counts tokens: batches of short examples have more of them.
        global_size: examples (or tokens) of the global batch, when that is not ``batch_size *
            accumulate * ranks``; they are dealt out to as many micro-batches.

    Raises:
        UsageError: there are no examples, or a size is not positive.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.integer],
        batch_size: int,
        seed: int,
        accumulate: int = 1,
        ranks: int = 1,
        bucket: bool = True,
        tokens: bool = False,
        global_size: int | None = None,
    ) -> None:
        for name, value in (
            ("batch_size", batch_size),
            ("accumulate", accumulate),
            ("ranks", ranks),
        ):
            if value < 1:
                raise UsageError(f"{name}={value}: a whole number of at least 1 is expected.")
        if len(lengths) == 0:
            raise UsageError("there are no examples to train on.")
        self.lengths = np.asarray(lengths)
        self.seed = seed
        self.accumulate = accumulate
        self.ranks = ranks
        self.bucket = bucket
        self.tokens = tokens
        self.global_size = global_size or batch_size * accumulate * ranks
        count = len(self.lengths)
        total = int(self.lengths.sum(dtype=np.int64)) if tokens else count
        # Every batch has at least one example, however small the budget.
        self.steps_per_epoch = min(-(-total // self.global_size), count)
        # Blocks end where a global batch ends, unless the examples do.
        self._run = RUN if tokens else max(1, RUN // self.global_size) * self.global_size
        # A block has at least two batches, so that none of them is rounded away.
        size = max(BLOCK, 2 * count // self.steps_per_epoch + self._run) if tokens else BLOCK
        self._runs = max(1, size // self._run)
        # The last ones; a cache around a method would keep the sampler alive.
        self._planned: tuple[int, Plan] | None = None
        self._shuffled: tuple[int, int, Block] | None = None

    def epoch(self, step: int) -> int:
        """The pass over the data that a step (from 0) belongs to, from 0."""
        return step // self.steps_per_epoch

    def examples(self, step: int) -> NDArray[np.int64]:
        """Ids of the global batch of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        firsts = self._plan(epoch)[2]
        block = int(np.searchsorted(firsts, place, "right")) - 1
        ids, cuts = self._block(epoch, block)
        start, stop = cuts[place - firsts[block] :][:2]
        return ids[start:stop]

    def batch(self, step: int, rank: int = 0) -> list[NDArray[np.int64]]:
        """Ids of each micro-batch of one rank.

        Examples are dealt out like cards, so that sizes differ by at most one and every part has
        short and long ones. Of a small last batch, some parts may be empty: the last ones.

        Args:
            step: optimizer updates already applied.
            rank: in [0, ranks).

        Returns:
            ``accumulate`` arrays.
        """
        ids = self.examples(step)
        parts = self.ranks * self.accumulate
        return [ids[micro * self.ranks + rank :: parts] for micro in range(self.accumulate)]

    def _plan(self, epoch: int) -> Plan:
        """:meth:`_lay_out`, kept."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = (epoch, self._lay_out(epoch))
        return self._planned[1]

    def _block(self, epoch: int, block: int) -> Block:
        """:meth:`_shuffle`, kept."""
        if self._shuffled is None or self._shuffled[:2] != (epoch, block):
            self._shuffled = (epoch, block, self._shuffle(epoch, block))
        return self._shuffled[2]

    def _lay_out(self, epoch: int) -> Plan:
        """The order of an epoch's runs, a shift of all ids, and the first batch of each block."""
        count = len(self.lengths)
        if count <= BLOCK:
            return np.zeros(0, np.int64), 0, np.array([0, self.steps_per_epoch])
        bits = np.random.PCG64(np.random.SeedSequence([self.seed, epoch]))
        shift = int(bits.random_raw()) % count  # so that the last, short run is another each time
        runs = np.argsort(bits.random_raw(count // self._run), kind="stable") * self._run
        blocks = max(1, len(runs) // self._runs)  # the last one takes what is left
        ends = np.append(np.arange(blocks) * (self._runs * self._run), count)
        if self.tokens:
            return runs, shift, np.rint(ends * (self.steps_per_epoch / count)).astype(np.int64)
        return runs, shift, -(-ends // self.global_size)

    def _ids(self, epoch: int, block: int) -> NDArray[np.int64]:
        """Ids of a block, unshuffled; (n,)."""
        count = len(self.lengths)
        if count <= BLOCK:
            return np.arange(count)
        runs, shift, firsts = self._plan(epoch)
        last = block == len(firsts) - 2
        starts = runs[block * self._runs : None if last else (block + 1) * self._runs]
        ids = (starts[:, None] + np.arange(self._run)).ravel()
        if last:
            ids = np.concatenate([ids, np.arange(len(runs) * self._run, count)])
        return (ids + shift) % count

    def _shuffle(self, epoch: int, block: int) -> Block:
        """Ids of a block in the order of an epoch; (n,). And where each batch begins; (b + 1,)."""
        firsts = self._plan(epoch)[2]
        ids = self._ids(epoch, block)
        batches = int(firsts[block + 1] - firsts[block])
        # Raw bits and a stable sort: numpy promises these for every version, not `permutation`.
        # A single block has no number: its order is the one that runs had before there were blocks.
        key = [self.seed, epoch] if len(firsts) == 2 else [self.seed, epoch, block + 1]
        bits = np.random.PCG64(np.random.SeedSequence(key))
        ids = ids[np.argsort(bits.random_raw(len(ids)), kind="stable")]
        # Batches that may come in any order. A last one that is too small for that is cut off
        # before the sorting, so that it is not always the longest examples that are in it.
        full = batches if self.tokens else len(ids) // self.global_size
        if not self.bucket:
            return ids, self._cuts(ids, batches)
        end = len(ids) if self.tokens else full * self.global_size
        # Sorted within MEGA batches only: sorted as a whole, an example would meet none but those
        # of its own length.
        mega = -(-len(ids) * MEGA // batches) if self.tokens else MEGA * self.global_size
        for start in range(0, end, mega):
            part = ids[start : min(start + mega, end)]
            part[:] = part[np.argsort(self.lengths[part], kind="stable")]
        cuts = self._cuts(ids, batches)
        # Lengths must not rise along an epoch, so the batches are shuffled too.
        order = np.argsort(bits.random_raw(full), kind="stable") if full else np.arange(0)
        order = np.concatenate([order, np.arange(full, batches)])
        sizes = np.diff(cuts)[order]
        return ids[ragged.ranges(cuts[:-1][order], sizes)], ragged.offsets(sizes)

    def _cuts(self, ids: NDArray[np.int64], batches: int) -> NDArray[np.int64]:
        """Where each batch of a block begins, and the end; (batches + 1,)."""
        steps = np.arange(batches + 1)
        if not self.tokens:
            return np.minimum(steps * self.global_size, len(ids))
        ends = self.lengths[ids].cumsum(dtype=np.int64)
        cuts = np.searchsorted(ends, steps * (ends[-1] / batches), "left") + 1
        cuts[0], cuts[-1] = 0, len(ids)
        # At least one example each.
        cuts = np.maximum.accumulate(cuts - steps) + steps
        return np.minimum(cuts, len(ids) - (batches - steps))
