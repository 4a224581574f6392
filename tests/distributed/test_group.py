from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
import torch

from plainbert.distributed.failure import DistributedError
from plainbert.distributed.group import Group, init
from plainbert.distributed.packing import packed
from plainbert.distributed.world import World
from tests.helpers.processes import HERE, Command, environment

PROGRAMS = HERE / "tests" / "distributed" / "programs"


@pytest.mark.parametrize("ranks", [2, 3])
def test_every_exchange_on_several_ranks(ranks: int) -> None:
    line = [sys.executable, str(PROGRAMS / "exchange.py"), str(ranks)]
    done = Command(line, environment()).wait(90)

    assert done.status == 0, done.text
    assert sorted(done.text.split("\n")[:-1]) == [f"rank {rank} right" for rank in range(ranks)]


def test_training_ends_with_the_weights_of_one_process(tmp_path: Path) -> None:
    reports = []
    for ranks in ("1", "2"):
        output = tmp_path / ranks
        line = [sys.executable, str(PROGRAMS / "ranks.py"), "--spawn", ranks, "--output", output]
        done = Command(list(map(str, line)), environment()).wait(90)
        assert done.status == 0, done.text
        assert done.text == "done\n"  # nothing of torch's launcher
        reports.append(json.loads(output.read_text()))
    one, two = (torch.tensor(report["weights"], dtype=torch.float64) for report in reports)

    assert float((one - two).abs().max()) < 1e-12
    assert [rank["rank"] for rank in reports[1]["ranks"]] == [0, 1]
    assert {rank["launcher"] for rank in reports[1]["ranks"]} == {"torchrun"}


def test_one_process_needs_no_engine() -> None:
    with init(World(), "cpu") as group:
        tensor = torch.ones(3)
        group.reduce([tensor])
        group.broadcast([tensor])
        group.barrier()

        assert tensor.tolist() == [1, 1, 1]
        assert group.gather({"a": (1, 2)}) == [{"a": [1, 2]}]
        assert group.new_gloo_group() is None
        assert (group.rank, group.size, group.local_rank, group.local_size) == (0, 1, 0, 1)
        assert not torch.distributed.is_initialized()
        with pytest.raises(TypeError, match="JSON"):
            group.gather({1})


def test_errors_of_one_process_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="Connection closed by peer") as caught, Group(World()):
        raise RuntimeError("Connection closed by peer")
    assert type(caught.value) is RuntimeError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "mpi"}, "known are auto, gloo, nccl"),
        ({"timeout_s": 0}, "above 0"),
        ({"backend": "nccl"}, "use gloo on the CPU"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], words: str) -> None:
    with pytest.raises(DistributedError, match=words):
        init(World(size=2), "cpu", **options)  # type: ignore[arg-type]


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DistributedError, match=f"port {port} on .* is taken"):
            init(World(size=2, local_size=2, launcher="mpirun", port=port), start_s=2)


def test_a_rank_0_that_is_not_there_is_named() -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    lonely = World(rank=1, size=2, local_rank=1, local_size=2, launcher="mpirun", port=port)
    with pytest.raises(DistributedError, match=f"could not reach rank 0 at 127.0.0.1:{port}"):
        init(lonely, start_s=1)


def test_ranks_that_never_start_are_named() -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    first = World(size=3, local_size=3, launcher="torchrun", port=port)
    with pytest.raises(DistributedError, match=r"2 of 3 ranks did not start .*: rank 1, 2\."):
        init(first, start_s=1)


def test_a_guessed_address_of_another_host_names_the_flag() -> None:
    there = World(size=2, launcher="mpirun", address="192.0.2.77", guessed=True)
    with pytest.raises(DistributedError, match="-x MASTER_ADDR=HOST"):
        init(there, start_s=1)


def test_small_tensors_travel_together() -> None:
    tensors = [torch.ones(10), torch.ones(3, dtype=torch.float64), torch.ones(4), torch.ones(50000)]
    with packed(tensors) as messages:
        assert [len(message) for message in messages] == [50000, 14, 3]
        assert messages[0].data_ptr() == tensors[3].data_ptr()  # not copied
        for message in messages:
            message += 1

    assert all(bool((tensor == 2).all()) for tensor in tensors)
