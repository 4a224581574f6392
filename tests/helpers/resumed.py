"""Stop runs of several processes, resume them on others: ``resumed JOB,JOB FOLDER``."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from plainbert.errors import CheckpointError
from plainbert.train.checkpoints import Checkpoints, RunProgress
from plainbert.train.optim import Optimizer
from plainbert.train.settings import Settings
from plainbert.train.step import Stepper
from tests.helpers import tiny
from tests.helpers.together import Case, model, ranks_of, start, together, train

ONE, DDP, ZERO, FSDP = Case(), Case("ddp", 2), Case("zero1", 2), Case("fsdp", 2)
FOUR = Case("zero1", 4), Case("fsdp", 4), Case("hsdp", 4, per_host=2)
# (who stops, who goes on)
PAIRS = {
    "adamw": [
        (ONE, FOUR[0]), (ONE, FSDP), (DDP, ONE), (DDP, FOUR[1]), (ZERO, ONE), (ZERO, FOUR[0]),
        (ZERO, FSDP), (FSDP, ONE), (FSDP, DDP), (FSDP, FOUR[0]), (FSDP, FOUR[1]), (FOUR[2], FSDP),
    ],
    "sgd": [(FSDP, ONE), (ONE, FOUR[2])],
}  # fmt: skip


def of(case: Case, optimizer: str) -> Case:
    return Case(case.strategy, case.size, optimizer=optimizer, per_host=case.per_host)


class Stopped(Exception):
    """The run ends here."""


@contextlib.contextmanager
def stopping(after: int):
    """The run ends in the step with that number."""
    step = Stepper.step

    def last(self, number, *args, **kwargs):
        if number == after:
            raise Stopped
        return step(self, number, *args, **kwargs)

    Stepper.step = last
    try:
        yield
    finally:
        Stepper.step = step


def resumes(folder: Path) -> None:
    """Stop after 5 of 10 steps, saved after 3; then go on, shared in another way."""

    def both(size: int, phase) -> None:
        def work(group) -> None:
            for name, pairs in PAIRS.items():
                for number, pair in enumerate(pairs):
                    phase(group, folder / name / str(number), *(of(each, name) for each in pair))

        assert together(size, work) == [0] * size

    def whole(group, path, saver, resumer) -> None:
        if path.name == "0":
            train(of(ONE, saver.optimizer), group, folder=path.with_name("whole"), save_steps=100)

    def stop(group, path, saver, resumer) -> None:
        if saver.size == group.size:
            with stopping(5), contextlib.suppress(Stopped):
                train(saver, group, folder=path, save_steps=3)

    def go_on(group, path, saver, resumer) -> None:
        if resumer.size == group.size:  # with the flags of the run
            ranks = ranks_of(resumer, group)
            train(saver, group, folder=path, resume=True, ranks=ranks, save_steps=100)

    both(1, whole)
    for phase in (stop, go_on):
        for size in (1, 2, 4):
            both(size, phase)


def background(folder: Path) -> None:
    """Checkpoints of every step, written at once or meanwhile."""

    def work(group) -> None:
        for strategy in ("ddp", "zero1", "fsdp"):
            for kind in (False, True):
                train(
                    Case(strategy, 2, optimizer="adamw"),
                    group,
                    folder=folder / f"{strategy}-{kind}",
                    save_steps=1,
                    keep_checkpoints=100,
                    async_checkpoints=kind,
                )

    assert together(2, work) == [0, 0]


def faults(folder: Path) -> None:
    """A rank whose disk is full, once at once and once in the background; then it is not."""

    def work(group) -> None:
        for kind in (False, True):
            case = Case("zero1", 2, optimizer="adamw")
            ranks, ours = ranks_of(case, group), model(case)
            ranks.prepare(ours, torch.float64)
            named = ranks.parameters(ours)
            optimizer = Optimizer("adamw", named, owned=ranks.owned(named))
            settings = Settings(async_checkpoints=kind)
            own = folder / f"full-{kind}"
            saves = Checkpoints(own, ours, tiny.tokenizer(), None, settings, ranks)
            saves.save(optimizer, RunProgress(1))
            saves.wait()
            if group.rank == 1:
                sys.dont_write_bytecode = True  # it would leave half a .pyc
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            message = ""
            try:
                saves.save(optimizer, RunProgress(2))
                saves.wait()
            except CheckpointError as error:
                message = str(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            group.barrier()
            names = sorted(path.name for path in own.iterdir())
            saves.save(optimizer, RunProgress(3))
            saves.wait()
            group.barrier()
            after = sorted(path.name for path in own.iterdir())
            path = folder / f"full-{kind}-{group.rank}.json"
            path.write_text(json.dumps([message, names, after]))
            ranks.release()

    assert together(2, work) == [0, 0]


def elsewhere(folder: Path) -> None:
    """Ranks that do not share a disk."""

    def work(group) -> None:
        train(Case("zero1", 2), group, folder=folder / f"disk-{group.rank}")

    assert 0 not in together(2, work)


def killed(folder: Path, kills: str, seed: str) -> None:
    """Kill all ranks, or one of them, at random moments; go on each time."""
    draw = random.Random(int(seed))
    cases = [Case(name, 2, optimizer="adamw") for name in ("zero1", "fsdp")]

    def whole(group) -> None:
        train(cases[0], group, folder=folder / "whole", save_steps=1)

    began = time.monotonic()
    assert together(2, whole) == [0, 0]
    length = time.monotonic() - began
    finished = hits = 0
    run = folder / "killed"
    while hits < int(kills):
        case, kind = cases[hits % 2], hits % 4 < 2

        def work(group, case=case, kind=kind) -> None:
            train(
                case, group, folder=run, resume=run.exists(), save_steps=1, async_checkpoints=kind
            )

        children = start(2, work)
        time.sleep(draw.uniform(0.1 * length, length))
        for child in children[: draw.choice([1, 2])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        statuses = ended(children, 5.0)
        whole_ones(run)
        if statuses == [0, 0]:
            finished += 1
            same(run / "last", folder / "whole" / "last")
            shutil.rmtree(run)
        else:
            hits += 1

    def end(group) -> None:
        train(cases[0], group, folder=run, resume=run.exists(), save_steps=1)

    assert together(2, end) == [0, 0]
    same(run / "last", folder / "whole" / "last")
    print(f"{hits} kills, {finished + 1} runs finished")


def ended(children: list[int], patience: float) -> list[int]:
    """Exit statuses; who waits for ranks that never came is killed too."""
    found: dict[int, int] = {}
    limit = time.monotonic() + patience
    while len(found) < len(children):
        for child in set(children) - found.keys():
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                found[child] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > limit:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    return [found[child] for child in children]


def whole_ones(run: Path) -> None:
    """Every checkpoint with a name has all its weights, and the last its optimizer state."""
    case = Case(optimizer="adamw")
    paths = sorted(run.glob("step-*"))
    for path in paths:
        ours = model(case)
        saves = Checkpoints(run, ours, tiny.tokenizer())
        optimizer = Optimizer("adamw", ours.named_parameters())
        if path == paths[-1]:
            saves.load_optimizer(optimizer, int(path.name.partition("-")[2]))
        assert load_file(path / "model.safetensors").keys() == ours.state_dict().keys()
        assert json.loads((path / "training.json").read_text())["step"] > 0
    if (run / "last").is_symlink():
        assert (run / "last" / "training.json").is_file()


def same(one: Path, other: Path) -> None:
    """Equal weights: the order of sums differs between strategies, so not to the last bit."""
    got, want = (load_file(path / "model.safetensors") for path in (one, other))
    for name, tensor in want.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=1e-9)


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    for job in sys.argv[1].split(","):
        globals()[job](Path(sys.argv[2]), *sys.argv[3:])
