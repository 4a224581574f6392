"""Runs that are stopped, killed or out of disk end with the weights of one that was not."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file

from plainbert.errors import CheckpointError, FormatError
from plainbert.train.background import Background
from plainbert.train.checkpoints import Checkpoints
from plainbert.train.optim import Optimizer
from plainbert.train.parallel.tensor_shard import TensorShard
from plainbert.train.sharded_optimizer_state import read_shards, read_sizes, write_shards
from tests.helpers import processes, resumed, tiny, together


def run(job, folder, *more):
    """Start the program; its two streams."""
    done = subprocess.run(
        processes.helper("resumed", job, folder, *more),
        env=processes.environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumed")
    _, errors = run("resumes,background,faults,elsewhere", folder)
    return folder, errors


def assert_equal(got, want, atol):
    got, want = (load_file(path / "model.safetensors") for path in (got, want))
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=atol, msg=name)


PAIRS = [
    pytest.param(name, number, id=f"{name}-{one.strategy}{one.size}-{two.strategy}{two.size}")
    for name, pairs in resumed.PAIRS.items()
    for number, (one, two) in enumerate(pairs)
]


@pytest.mark.parametrize(("name", "number"), PAIRS)
def test_a_run_goes_on_however_it_is_shared(name, number, done):
    folder = done[0] / name
    last = folder / str(number) / "last"
    assert last.readlink().name == "step-0000010"
    assert_equal(last, folder / "whole" / "last", 1e-9)


@pytest.mark.parametrize("strategy", ["ddp", "zero1", "fsdp"])
def test_writing_meanwhile_writes_the_same(strategy, done):
    now, later = (done[0] / f"{strategy}-{kind}" for kind in (False, True))
    assert len(list(now.glob("step-*"))) == 10
    assert [path.name for path in now.glob("state-*")] == ["state-0000010"]
    for path in (*now.glob("step-*/**/*"), *now.glob("state-*/**/*")):
        twin = later / path.relative_to(now)
        if path.suffix == ".safetensors":
            got, want = load_file(twin), load_file(path)
            assert got.keys() == want.keys()
            assert all(torch.equal(got[name], want[name]) for name in want)
        elif path.is_file():
            assert twin.read_bytes() == path.read_bytes()


def test_each_rank_writes_its_part_only(done):
    for strategy in ("zero1", "fsdp"):
        path = done[0] / f"{strategy}-False" / "last"
        state = path.with_name(path.readlink().name.replace("step", "state"))
        files = sorted((state / "training").iterdir())
        sizes = [sum(each.numel() for each in load_file(file).values()) for file in files]
        whole = sum(each.numel() for each in load_file(path / "model.safetensors").values())
        assert len(files) == 2
        assert sum(sizes) == pytest.approx(2 * whole, rel=0.02)  # two moments
        assert max(sizes) < 1.2 * whole


@pytest.mark.parametrize("kind", [False, True])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_full_disk_is_told_by_every_rank_and_leaves_nothing(kind, rank, done):
    message, names, after = json.loads((done[0] / f"full-{kind}-{rank}.json").read_text())
    assert message.startswith("rank 1 could not write its part of the training state")
    assert "File too large" in message
    assert names == ["last", "state-0000001", "step-0000001"]
    assert after == ["last", "state-0000003", "step-0000003"]


def test_ranks_must_share_the_disk(done):
    folder, errors = done
    assert "the run folder must be on a disk that all hosts share" in errors
    assert not list(folder.glob("disk-*/step-*"))


@pytest.mark.volume(sample=4, whole=40)
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(trials, tmp_path, seed):
    printed, _ = run("killed", tmp_path, trials, seed)
    assert f"{trials} kills" in printed


@pytest.fixture
def written(tmp_path):
    whole = {"a": torch.arange(15.0).view(5, 3), "b": torch.tensor(7.0)}
    write_shards(
        tmp_path / "one", {name: TensorShard.whole(each) for name, each in whole.items()}, None
    )
    return tmp_path / "one", whole


def test_any_block_is_read_back(written):
    folder, whole = written
    assert read_sizes(folder) == {"a": (5, 3), "b": ()}
    for start, stop in ((0, 5), (1, 3), (4, 5)):
        part = TensorShard(torch.zeros(stop - start, 3), (start, 0), (5, 3))
        scalar = TensorShard.whole(torch.tensor(0.0))
        read_shards(folder, {"a": part, "b": scalar})
        assert torch.equal(part.tensor, whole["a"][start:stop])
        assert torch.equal(part.of(whole["a"]), part.tensor)
        assert scalar.tensor == 7


def test_nothing_on_disk_is_pickled(written):
    assert [path.suffix for path in written[0].iterdir()] == [".safetensors"]


def test_garbled_and_missing_files(written):
    folder, whole = written
    (path,) = folder.iterdir()
    content = path.read_bytes()
    wanted = {"a": TensorShard.whole(torch.zeros(5, 3))}
    for bad in (content[:-8], b"", content[: len(content) // 3], b"\xff" * len(content)):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=str(folder)):
            read_sizes(folder)
        with pytest.raises(FormatError, match=str(folder)):
            read_shards(folder, wanted)
    # A rank's file is gone: its rows are missing, though every name is there.
    saved = {"a": {"saved_offsets": [2, 0]}}
    save_file({"a": whole["a"][2:]}, path, {"DCP_SHARDING_INFO": json.dumps(saved)})
    with pytest.raises(FormatError, match="lacks a part of a"):
        read_shards(folder, wanted)


def test_slots_of_another_optimizer_are_refused(done):
    source = done[0] / "fsdp-False"
    case = together.Case(optimizer="sgd")
    ours = together.model(case)
    saves = Checkpoints(source, ours, tiny.tokenizer())
    optimizer = Optimizer("sgd", ours.named_parameters())
    with pytest.raises(CheckpointError, match="does not belong to this model and sgd"):
        saves.load_optimizer(optimizer, 10)


def test_work_in_the_background_hands_on_its_error_once():
    background, seen = Background(), []
    background.wait()
    background.start(lambda: seen.append(1))
    background.wait()
    assert seen == [1]
    background.start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.wait()
    background.wait()
