"""Kill a run at random moments, resume it, compare: ``killed_training FOLDER KILLS SEED``.

torch is imported once; each attempt is a fork of this process and dies by a real kill -9.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import sklearn.metrics  # noqa: F401  # before the forks, which would each import it
import torch

from plainbert import checkpoint
from plainbert.batching.batch import Examples
from plainbert.tasks.classification.evaluate import ClassifierEvaluation
from plainbert.train.loop import fit
from plainbert.train.settings import Settings
from tests.helpers import tiny

SETTINGS = Settings(
    epochs=6,
    batch_size=8,
    accumulate=2,
    optimizer="bertadam",
    lr=1e-3,
    save_steps=3,
    dtype=torch.bfloat16,
    log_interval=4,
)


def run(folder: Path, resume: bool) -> None:
    fit(
        tiny.model(),
        tiny.tokenizer(),
        Examples(tiny.data(200)),
        SETTINGS,
        evaluation=ClassifierEvaluation({"dev": tiny.data(40, 9)}, ("accuracy",), SETTINGS.dtype),
        folder=folder,
        resume=resume,
    )


def attempt(folder: Path, delay: float) -> bool:
    """Start or resume the run in a process of its own and kill it; True if it was done before."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(folder, resume=folder.exists())
            code = 0
        finally:
            os._exit(code)
    start = time.monotonic()
    while time.monotonic() - start < delay:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"the run failed: status {status}"
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def opens(folder: Path) -> int:
    """Read every checkpoint that has a name; returns how many there are."""
    found = list(folder.glob("step-*"))
    for path in found:
        model = tiny.model()
        checkpoint.load(model, checkpoint.read(path).tensors(), source=str(path))
    if (folder / "last").is_symlink():
        assert (folder / "last" / "model.safetensors").is_file()
    return len(found)


def main(root: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    whole, folder = root / "whole", root / "killed"
    child = os.fork()
    if child == 0:
        run(whole, resume=False)
        os._exit(0)
    start = time.monotonic()
    assert os.waitpid(child, 0)[1] == 0
    length = time.monotonic() - start
    want = (whole / "last" / "model.safetensors").read_bytes()
    draw = random.Random(seed)
    hits = finished = 0
    while hits < kills:
        if attempt(folder, draw.uniform(0, length / 3)):
            assert (folder / "last" / "model.safetensors").read_bytes() == want
            shutil.rmtree(folder)
            finished += 1
            continue
        hits += 1
        if folder.exists():
            opens(folder)
    while not attempt(folder, 10 * length + 60):
        pass
    assert (folder / "last" / "model.safetensors").read_bytes() == want
    for name in ("last/training.json", "best/model.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    states = [list(run.glob("state-*")) for run in (folder, whole)]
    (one,), (other,) = states
    assert one.name == other.name
    assert (one / "training.safetensors").read_bytes() == (
        other / "training.safetensors"
    ).read_bytes()
    print(f"{kills} kills, {finished + 1} runs finished, each with the same weights")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
