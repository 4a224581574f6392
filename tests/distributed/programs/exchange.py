"""Every exchange of a Group against what the ranks' values say; prints "right" on each rank."""

from __future__ import annotations

import sys

import torch

from plainbert.distributed.group import init
from plainbert.distributed.packing import SMALL
from plainbert.distributed.spawn import spawn
from plainbert.distributed.world import World

SHAPES = [(3,), (), (0,), (5, 7), (SMALL,), (300, 200), (SMALL - 1,)]
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.int64]


def values(rank: int) -> list[torch.Tensor]:
    """Whole numbers, so that sums are exact in every type; the last one is not contiguous."""
    generator = torch.Generator().manual_seed(rank)
    tensors = [
        torch.randint(-9, 9, shape, generator=generator).to(kind)
        for shape in SHAPES
        for kind in TYPES
    ]
    wide = torch.randint(-9, 9, (400, 300), generator=generator).to(torch.float64)
    return [*tensors, wide.T, wide[:, ::2]]


def main() -> None:
    world = World.current()
    if world.launcher == "single":
        sys.exit(spawn(int(sys.argv[1])))
    with init(world, "cpu", 30) as group:
        tensors = values(group.rank)
        group.reduce(tensors)
        for number, tensor in enumerate(tensors[:-2]):
            wanted = torch.stack([values(rank)[number].double() for rank in range(group.size)])
            assert torch.equal(tensor.double(), wanted.sum(0)), (number, tensor.dtype)
        alone = values(group.rank)[-1:]
        group.reduce(alone)
        wanted = sum(values(rank)[-1] for rank in range(group.size))
        assert torch.equal(alone[0], torch.as_tensor(wanted))
        # A float64 message is not rounded to float32 on its way.
        third = torch.full((4,), 1 / 3, dtype=torch.float64)
        group.reduce([third])
        assert abs(float(third[0]) - group.size / 3) < 1e-15
        parameter = torch.nn.Parameter(torch.full((4,), float(group.rank)))
        group.reduce([parameter])
        assert float(parameter.detach()[0]) == sum(range(group.size))
        for source in range(group.size):
            tensors = values(group.rank)[:-1]
            group.broadcast(tensors, source)
            assert all(map(torch.equal, tensors, values(source)[:-1]))
        group.reduce([])
        group.broadcast([])
        own = {"rank": group.rank, "text": "é" * (1 + 1000 * group.rank), "list": (1, None, 2.5)}
        wanted_values = [
            {"rank": rank, "text": "é" * (1 + 1000 * rank), "list": [1, None, 2.5]}
            for rank in range(group.size)
        ]
        assert group.gather(own) == wanted_values
        assert group.gather(group.rank) == list(range(group.size))
        beside = group.new_gloo_group()
        number = torch.ones(1)
        torch.distributed.all_reduce(number, group=beside)
        assert int(number) == group.size
        try:
            group.gather({1, 2})
        except TypeError:
            pass
        else:
            raise AssertionError("a set is no JSON")
        try:
            group.reduce([torch.ones(2).to_sparse()])
        except TypeError:
            pass
        else:
            raise AssertionError("a sparse tensor was taken")
        group.barrier()
    # Unlike print, in one piece: the ranks share the pipe.
    sys.stdout.write(f"rank {world.rank} right\n")


if __name__ == "__main__":
    main()
