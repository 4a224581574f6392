"""What the ranks exchange: sums, copies and small JSON values.

::

    world = World.current()
    with init(world, "cpu", timeout_s=600) as group:
        group.reduce(gradients)

Leaving the block tells the other ranks how this one ended, so that all of them end, within seconds,
with a message that names the one at fault.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from plainbert.distributed import rendezvous
from plainbert.distributed.ending import Ending
from plainbert.distributed.failure import DistributedError, is_communication
from plainbert.distributed.packing import packed
from plainbert.distributed.watch import Watch
from plainbert.distributed.world import World
from plainbert.errors import PlainBertError, Stopped

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

BACKENDS = ("auto", "gloo", "nccl")
TIMEOUT_S = 600.0
START_S = 60.0  # ranks read and import at different speeds before they meet


def init(
    world: World,
    device_type: str = "cpu",
    timeout_s: float = TIMEOUT_S,
    backend: str = "auto",
    start_s: float | None = None,
) -> Group:
    """Bring the processes of a run together.

    Args:
        world: this process. One process alone needs no torch.distributed.
        device_type: where the tensors will be: "cpu" or "cuda".
        timeout_s: seconds that an exchange may wait for another rank, and that a cut network or a
            frozen rank goes unnoticed. A killed rank is noticed at once.
        backend: gloo, nccl, or auto: nccl for CUDA, else gloo.
        start_s: seconds that ranks wait for each other at the start; the longer of ``timeout_s``
            and a minute when None.

    Raises:
        DistributedError: the processes do not find each other, or an argument is out of range.
    """
    if backend not in BACKENDS:
        raise DistributedError(f"backend {backend!r}: known are {', '.join(BACKENDS)}.")
    if timeout_s <= 0:
        raise DistributedError(f"a timeout of {timeout_s} s: it must be above 0.")
    if world.size == 1:
        return Group(world)
    if backend == "nccl" and device_type != "cuda":
        raise DistributedError("backend nccl is for GPUs: use gloo on the CPU.")
    wait_s = max(timeout_s, START_S) if start_s is None else start_s
    world = rendezvous.resolve(world)
    group = Group(world)
    group.start(device_type, timeout_s, backend, wait_s)
    return group


class Group:
    """The ranks of a run, as one of them sees them.

    Attributes:
        world: this process.
        rank: this process's number among all ranks, in [0, size).
        size: number of ranks; with 1 every exchange is nothing.
        local_rank: this process's number among the ranks of this host, in [0, local_size).
        local_size: number of ranks on this host.
        timeout_s: the most seconds that an exchange may take.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.rank, self.size = world.rank, world.size
        self.local_rank, self.local_size = world.local_rank, world.local_size
        self.timeout_s = TIMEOUT_S
        self._ending: Ending | None = None
        self._watch: Watch | None = None
        self._count = 0

    def start(self, device_type: str, timeout_s: float, backend: str, wait_s: float) -> None:
        """Meet the other ranks, as :func:`init` does: its arguments, checked."""
        from datetime import timedelta

        import torch
        import torch.distributed as torch_dist

        world, self.timeout_s = self.world, timeout_s
        self._ending = ending = Ending(world, timeout_s)
        self._watch = watch = ending.watch
        rendezvous.choose_interface(world)
        store = rendezvous.open_store(world, wait_s)
        rendezvous.wait_for_ranks(store, world, wait_s)
        options: dict[str, Any] = {}
        if device_type == "cuda":
            index = world.device_index(torch.cuda.device_count())
            torch.cuda.set_device(index)
            backend = "gloo" if backend == "gloo" else "cpu:gloo,cuda:nccl"
            options["device_id"] = torch.device("cuda", index) if "nccl" in backend else None
        else:
            backend = "gloo"
        try:
            if world.rank == 0:
                store.set("watch", watch.listen(rendezvous.rank_0_address(world)))
                watch.complete(wait_s)
            else:
                watch.connect(store.get("watch").decode(), wait_s)
            ending.begin()
            torch_dist.init_process_group(
                backend,
                store=store,
                rank=world.rank,
                world_size=world.size,
                timeout=timedelta(seconds=timeout_s),
                **options,
            )
        except RuntimeError as error:
            if isinstance(error, DistributedError):
                ending.fail(error)
                raise
            raise ending.explain(error, (0, "start")) from error

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, Stopped):  # as all of them do, at the same step
            self.close()
        elif self._ending is not None:
            if self._comes_from_others(error):
                explained = self._ending.explain(error, (self._count, "compute"))
                self._ending.fail(explained)
                raise explained from error
            self._ending.fail(error)

    def reduce(self, tensors: Sequence[Tensor]) -> None:
        """Add tensors up over all ranks, in place and in their own type.

        Args:
            tensors: every rank gives the same list of shapes.

        Raises:
            DistributedError: another rank is gone.
        """
        if self.size == 1 or not tensors:
            return
        from torch.distributed import all_reduce

        with self.exchange("reduce"), packed(tensors) as messages:
            for work in [all_reduce(message, async_op=True) for message in messages]:
                work.wait()

    def broadcast(self, tensors: Sequence[Tensor], src: int = 0) -> None:
        """Copy tensors from one rank to all, in place.

        Args:
            tensors: every rank gives the same list of shapes.
            src: the rank whose values all ranks get.

        Raises:
            DistributedError: another rank is gone.
        """
        if self.size == 1 or not tensors:
            return
        from torch.distributed import broadcast

        with self.exchange("broadcast"), packed(tensors) as messages:
            for work in [broadcast(message, src, async_op=True) for message in messages]:
                work.wait()

    def barrier(self) -> None:
        """Wait until every rank is here.

        Raises:
            DistributedError: another rank is gone.
        """
        if self.size > 1:
            import torch
            from torch.distributed import all_reduce

            with self.exchange("barrier"):
                all_reduce(torch.zeros(1))

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in the order of ranks, on every rank.

        Args:
            value: anything that JSON can hold; tuples come back as lists.

        Raises:
            DistributedError: another rank is gone.
            TypeError: JSON cannot hold the value.
        """
        text = json.dumps(value).encode()
        if self.size == 1:
            return [json.loads(text)]
        import torch
        from torch.distributed import all_gather

        with self.exchange("gather"):
            sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
            all_gather(sizes, torch.tensor([len(text)]))
            longest = max(int(size) for size in sizes)
            parts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
            own = torch.frombuffer(bytearray(text.ljust(longest)), dtype=torch.uint8)
            all_gather(parts, own)
        return [
            json.loads(part[: int(size)].numpy().tobytes())
            for part, size in zip(parts, sizes, strict=True)
        ]

    def new_gloo_group(self) -> ProcessGroup | None:
        """A process group of its own for work beside training, such as asynchronous checkpoints.

        Two threads that exchange over one group mix up their messages. None for a single process.
        """
        if self.size == 1:
            return None
        from datetime import timedelta

        from torch.distributed import new_group

        with self.exchange("new group"):
            return new_group(backend="gloo", timeout=timedelta(seconds=self.timeout_s))

    @contextlib.contextmanager
    def exchange(self, name: str) -> Iterator[None]:
        """Turn errors of collectives inside the block into a :class:`DistributedError`.

        For collectives that are not methods of this class, such as those of sharded parameters.

        Args:
            name: what error messages call the exchange.
        """
        if self._ending is None or self._watch is None:
            yield
            return
        if self._watch.verdict is not None:
            raise self._ending.explain(None, (self._count, name))
        self._count += 1
        self._watch.exchange = (self._count, name)
        try:
            yield
        except RuntimeError as error:
            if not self._comes_from_others(error):
                raise
            raise self._ending.explain(error, (self._count, name)) from error

    def close(self) -> None:
        """Leave the group without a failure; never hangs.

        Raises:
            DistributedError: another rank was lost while this one waited for it to finish.
        """
        if self._ending is None or self._watch is None:
            return
        ending, self._ending = self._ending, None
        self._watch.finish(self.timeout_s)
        lost = ending.lost() if self.rank == 0 else None
        ending.stop()
        _destroy()
        if lost is not None:
            raise lost

    def _comes_from_others(self, error: BaseException) -> bool:
        """Whether another rank may be the reason of an error; Ctrl-C and mistakes stay our own."""
        if is_communication(error):
            return True
        failed = self._watch is not None and self._watch.verdict is not None
        return failed and isinstance(error, RuntimeError) and not isinstance(error, PlainBertError)


def _destroy() -> None:
    """Give torch's process groups back, in a thread: some backends wait for the others."""
    import torch.distributed as torch_dist

    if torch_dist.is_initialized():
        helper = threading.Thread(target=torch_dist.destroy_process_group, daemon=True)
        helper.start()
        helper.join(10)
