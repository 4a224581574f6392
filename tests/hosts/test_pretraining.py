"""The pre-training script itself on two hosts: the same run as one process, killed and resumed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers.hosts import SHELL, Hosts
from tests.helpers.processes import HERE, LAUNCH, Command, Done, environment, wait_for

pytestmark = pytest.mark.hosts

SCRIPTS = HERE / "scripts" / "bert"
SCRIPT = str(SCRIPTS / "run_pretraining_hvd.py")
STEPS = 24
FLAGS = ["--model", "bert_2_32_2", "--dropout", "0", "--attention_dropout", "0", "--gpus", ""]
FLAGS += ["--num_steps", str(STEPS), "--batch_size", "4", "--optimizer", "sgd", "--lr", "0.1"]
FLAGS += ["--dtype", "float32", "--log_interval", "1", "--threads", "1", "--dist_timeout", "8"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Few instances of real text, in one shard: any rank may read it."""
    folder = tmp_path_factory.mktemp("text")
    text = (HERE / "data" / "pretrain" / "en_novels_sample.txt").read_text("utf-8")
    (folder / "text.txt").write_text(text[:100_000], encoding="utf-8")
    line = [sys.executable, str(SCRIPTS / "create_pretraining_data.py")]
    line += ["--input_file", str(folder / "text.txt"), "--output_dir", str(folder / "shards")]
    line += ["--train_vocab", "500", "--max_seq_length", "64", "--num_outputs", "1"]
    line += ["--num_workers", "1"]
    done = Command(line, environment()).wait(120)
    assert done.status == 0, done.text
    return str(folder / "shards" / "*.npz")


@pytest.fixture(scope="module")
def alone(shards: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The weights of one process that takes the whole global batch by itself."""
    folder = tmp_path_factory.mktemp("alone")
    flags = [*FLAGS, "--data", shards, "--ckpt_dir", str(folder), "--accumulate", "2"]
    done = Command([sys.executable, SCRIPT, *flags], environment()).wait(120)
    assert done.status == 0, done.text
    return weights(folder)


def weights(folder: Path) -> dict[str, np.ndarray]:
    assert os.readlink(folder / "last") == f"step-{STEPS:07d}"
    arrays: dict[str, np.ndarray] = load_file(folder / "last" / "model.safetensors")
    return arrays


def same(folder: Path, want: dict[str, np.ndarray]) -> None:
    """Equal but for the rounding of float32 sums in another order."""
    arrays = weights(folder)
    assert arrays.keys() == want.keys()
    worst = max(float(np.abs(arrays[name] - want[name]).max()) for name in want)
    assert worst < 1e-5


def launch(hosts: Hosts, way: str, flags: Sequence[str], restarts: int = 0) -> Command:
    first, second = hosts.names
    line = [sys.executable, LAUNCH, "--hosts", f"{first}:1,{second}:1", "--with", way]
    line += ["--timeout", "4", "--remote_shell", str(SHELL), "--max_restarts", str(restarts)]
    return hosts.start(0, *line, SCRIPT, *flags)


@pytest.mark.parametrize("strategy", ["ddp", "zero1", "fsdp", "hsdp"])
@pytest.mark.parametrize("way", ["torchrun", "mpirun"])
def test_two_hosts_are_one_process(
    way: str,
    strategy: str,
    hosts: Hosts,
    shards: str,
    alone: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    flags = [*FLAGS, "--data", shards, "--ckpt_dir", str(tmp_path / "run")]
    done = launch(hosts, way, [*flags, "--dist_strategy", strategy]).wait(120)
    assert done.status == 0, done.text
    same(tmp_path / "run", alone)


def ranks_of(run: Path) -> list[int]:
    """Process ids of the ranks of a run."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            env = (folder / "environ").read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            continue
        if str(run) in words and re.search(r"(^|\0)(RANK|OMPI_COMM_WORLD_RANK)=", env):
            pids.append(int(folder.name))
    return pids


def step_of(run: Path) -> int:
    try:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return max((json.loads(line)["step"] for line in lines), default=0)
    except (OSError, ValueError):
        return 0


def test_20_kills_end_with_the_weights_of_an_uninterrupted_run(
    hosts: Hosts, shards: str, tmp_path: Path
) -> None:
    """Any rank, any moment, either launcher; each time the next command resumes."""
    base = [*FLAGS, "--data", shards, "--ckpt_interval", "2", "--num_steps", "1500"]
    draw = random.Random(4)
    run, kills = tmp_path / "killed", 0
    straight = tmp_path / "straight"
    want = launch(hosts, "torchrun", [*base, "--ckpt_dir", str(straight)]).wait(240)
    assert want.status == 0, want.text
    done: Done | None = None
    for _ in range(40):
        begun = (run / "args.json").exists()
        flags = [*base, "--ckpt_dir", str(run), *(["--resume"] if begun else [])]
        job = launch(hosts, draw.choice(["torchrun", "mpirun"]), flags)
        if kills < 20:
            before = step_of(run)
            wait_for(lambda: step_of(run) > before or job.process.poll() is not None)  # noqa: B023
            time.sleep(draw.random() * 0.5)
            if ranks := ranks_of(run):
                os.kill(draw.choice(ranks), signal.SIGKILL)
                kills += 1
        done = job.wait(240)
        if done.status == 0:
            break
    assert done is not None
    assert (done.status, kills) == (0, 20), done.text
    left = load_file(run / "last" / "model.safetensors")
    right = load_file(straight / "last" / "model.safetensors")
    assert all(np.array_equal(left[name], right[name]) for name in right)
