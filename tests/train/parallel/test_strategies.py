"""However a run is shared, its weights end the same; the oracle is the run of one process."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from plainbert.distributed.group import Group
from plainbert.distributed.world import World
from plainbert.errors import UnknownNameError, UsageError
from plainbert.train.parallel.buckets import split
from plainbert.train.parallel.choose import choose_strategy
from plainbert.train.parallel.strategy import ALONE
from plainbert.train.parallel.zero1 import shares
from tests.helpers import processes, together


def run(job, folder, *more, timeout=300):
    """Start the program; what it wrote to its error stream."""
    done = subprocess.run(
        processes.helper("together", job, folder, *more),
        env=processes.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    run("steps,alone_in_between,traffic,missing,failing,stopped", folder)
    return folder


def weights(folder, case):
    return load_file(folder / f"{case.name}.safetensors")


EXACT = [case for case in together.STEPS if case.dtype is torch.float64 and case.size > 1]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.name)
def test_ranks_are_one_process(case, trained):
    whole = weights(trained, together.Case(optimizer=case.optimizer, clip=case.clip))
    assert difference(weights(trained, case), whole) < 1e-9
    assert difference(load_file(trained / "fresh.safetensors"), whole) > 0.02  # it did train


@pytest.mark.parametrize(
    ("compression", "least", "most"),
    [("none", 0, 1e-6), ("fp16", 1e-7, 1e-4), ("bf16", 1e-6, 1e-3)],
)
def test_compression_costs_a_little(compression, least, most, trained):
    whole = weights(trained, together.Case(dtype=torch.float32))
    case = together.Case("ddp", 2, compression=compression, dtype=torch.float32)
    assert least <= difference(weights(trained, case), whole) < most


@pytest.mark.parametrize("strategy", ["ddp", "zero1", "fsdp"])
def test_16_bits_stay_close(strategy, trained):
    whole = weights(trained, together.Case(dtype=torch.bfloat16))
    case = together.Case(strategy, 2, dtype=torch.bfloat16)
    got = weights(trained, case)
    assert 0 < difference(got, whole) < 1e-3
    assert {each.dtype for each in got.values()} == {torch.float32}


def test_one_rank_may_run_the_model_alone(trained):
    want, scores = (
        load_file(trained / "ddp-1.safetensors"),
        json.loads((trained / "ddp-1.json").read_text()),
    )
    assert len(set(scores)) == len(scores) > 2
    for name in ("ddp", "zero1", "fsdp", "hsdp"):
        assert difference(load_file(trained / f"{name}-2.safetensors"), want) < 1e-9
        assert json.loads((trained / f"{name}-2.json").read_text()) == pytest.approx(scores)


def test_gradients_are_sent_once_a_step_and_early(trained):
    found = json.loads((trained / "traffic.json").read_text())
    for strategy in ("ddp", "zero1", "fsdp"):
        once, *more = (found[f"{strategy}-{accumulate}"] for accumulate in (1, 2, 3))
        assert once["sent"], strategy
        for each in more:
            assert sum(each["sent"].values()) <= sum(once["sent"].values())
            if strategy == "fsdp":  # weights too are fetched once a step: a root and two layers
                assert each["sent"]["all_gather"] == 3
                assert each["sent"]["reduce_scatter"] == 3
            else:
                assert each["inside"][:-1] == [0] * (len(each["inside"]) - 1)
                assert each["inside"][-1] > 5  # while the backward pass still runs


def test_buckets_take_the_backward_order_and_hold_one_type(monkeypatch):
    monkeypatch.setattr("plainbert.train.parallel.buckets.BYTES", 40)
    kinds = [(2, torch.float64), (2, torch.float32), (20, torch.float32), (4, torch.float32)]
    made = [torch.nn.Parameter(torch.zeros(size, dtype=kind)) for size, kind in kinds]
    made.append(torch.nn.Parameter(torch.zeros(3), requires_grad=False))
    sizes = [[each.numel() for each in bucket] for bucket in split(made)]
    assert sizes == [[4], [20], [2], [2]]


def test_owners_have_about_the_same():
    sizes = [1000, 400, 300, 300, 10, 5, 1]
    made = [(f"p{place}", torch.nn.Parameter(torch.zeros(n))) for place, n in enumerate(sizes)]
    found = shares(made, 2)
    assert sorted(name for share in found for name, _ in share) == [name for name, _ in made]
    assert [sum(each.numel() for _, each in share) for share in found] == [1010, 1006]
    assert shares(reversed(made), 2) == found


def test_choosing():
    single = Group(World())
    for strategy in ("ddp", "zero1", "fsdp", "hsdp"):
        assert choose_strategy(strategy, single) is ALONE
    with pytest.raises(UnknownNameError, match="zero1"):
        choose_strategy("zero2", single)
    with pytest.raises(UnknownNameError, match="bf16"):
        choose_strategy("ddp", single, "powersgd")
    with pytest.raises(UsageError, match="--grad_compression bf16 works with"):
        choose_strategy("fsdp", single, "bf16")
    with pytest.raises(UsageError, match="4 ranks cannot be cut into groups of 3"):
        choose_strategy("hsdp", Group(World(0, 4, 0, 4)), per_host=3)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_rank_that_is_told_to_end_ends_all_with_a_checkpoint(strategy, trained):
    folder = trained / f"stopped-{strategy}"
    # The signal came in the fourth step: the others hear of it with the fifth.
    assert [path.name for path in folder.glob("step-*")] == ["step-0000005"]
    assert (folder / "last" / "model.safetensors").is_file()
