"""Train over several processes and write what comes out: ``together JOB,JOB FOLDER``.

torch is imported once; the ranks are forks of this process that talk over gloo.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # with the next two: before the forks, which would each import them
import torch.distributed.checkpoint
from safetensors.torch import save_file
from torch.distributed.fsdp import fully_shard  # noqa: F401

from plainbert.distributed.group import init
from plainbert.distributed.world import World
from plainbert.errors import Stopped
from plainbert.nn.pretraining_heads import Pretraining
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.objective import PretrainingObjective
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.train.loop import fit
from plainbert.train.module_state import ModuleState
from plainbert.train.optim import Optimizer
from plainbert.train.parallel import buckets, zero1
from plainbert.train.parallel.buckets import Buckets
from plainbert.train.parallel.choose import choose_strategy
from plainbert.train.settings import Settings
from plainbert.train.step import Scaler, Stepper
from tests.helpers import tiny

# So small a model would travel in one message.
buckets.BYTES, zero1.SMALL = 4096, 200
GLOBAL = 12
ROWS = 51  # the last batch of an epoch has 3 examples: of 4 ranks, one has nothing to do


@dataclass(frozen=True)
class Case:
    """One way to train."""

    strategy: str = "ddp"
    size: int = 1
    accumulate: int = 1
    optimizer: str = "sgd"
    per_host: int | None = None
    compression: str = "none"
    dtype: torch.dtype = torch.float64
    clip: float = 0.1
    reshard: bool = True

    @property
    def name(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        return (
            f"{self.strategy}-{self.size}x{self.accumulate}-{self.optimizer}-{self.per_host}-"
            f"{self.compression}-{kind}-{self.clip}-{self.reshard}"
        )


class Masked:
    """The tiny data with every fourth token of a row masked, and a random next sentence."""

    def __init__(self, rows: int) -> None:
        self.features = tiny.data(rows)
        self.lengths = self.features.lengths

    def rows(self, index, epoch=0):
        ids = [np.array(self.features.row(int(row))) for row in index]
        places = [
            np.arange(1 + int(row) % 2, len(each) - 1, 4)
            for row, each in zip(index, ids, strict=True)
        ]
        found = InstanceRows(
            np.concatenate(ids).astype(np.int32),
            np.concatenate([[0], np.cumsum([len(each) for each in ids])]),
            np.concatenate([np.arange(len(each)) > len(each) // 2 for each in ids]).astype(
                np.uint8
            ),
            np.repeat(np.arange(len(index)), [len(each) for each in places]),
            np.concatenate(places),
            np.concatenate([each[place] for each, place in zip(ids, places, strict=True)]).astype(
                np.int64
            ),
            np.where(index % 5 == 0, -1, index % 2),
        )
        found.ids[found.offsets[found.masked_sequence] + found.masked_positions] = (
            tiny.VOCAB.mask_id
        )
        return found


def settings(case: Case, **more) -> Settings:
    return Settings(
        epochs=2,
        batch_size=GLOBAL // case.size // case.accumulate,
        accumulate=case.accumulate,
        optimizer=case.optimizer,
        lr=0.3 if case.optimizer == "sgd" else 0.01,
        dtype=case.dtype,
        max_grad_norm=case.clip,
        **more,
    )


def model(case: Case) -> Pretraining:
    torch.manual_seed(1)
    kind = torch.float64 if case.dtype is torch.float64 else torch.float32
    return Pretraining(tiny.model(0.0).config).to(kind)


def ranks_of(case: Case, group):
    return choose_strategy(case.strategy, group, case.compression, case.per_host, case.reshard)


def train(case: Case, group, resume=False, folder=None, ranks=None, **more):
    """A whole run, or what is left of it; the weights on rank 0."""
    ranks = ranks or ranks_of(case, group)
    ours = model(case)
    if ranks.rank:  # rank 0's weights count
        with torch.no_grad():
            for each in ours.parameters():
                each.add_(1.0)
    fit(
        ours,
        tiny.tokenizer(),
        Instances(Masked(ROWS)),
        settings(case, **more),
        ranks=ranks,
        objective=PretrainingObjective(),
        folder=folder,
        resume=resume,
    )
    return ranks.weights(ours)


def together(size: int, work, timeout: float = 60.0) -> list[int]:
    """Run ``work(group)`` on so many ranks; their exit statuses."""
    children = start(size, work, timeout)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def start(size: int, work, timeout: float = 60.0) -> list[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(size):
        child = os.fork()
        if child:
            children.append(child)
            continue
        code = 1
        try:
            world = World(rank, size, rank, size, launcher="torchrun", port=port)
            with init(world, timeout_s=timeout) as group:
                work(group)
            code = 0
        except Stopped as stop:
            code = 128 + stop.number
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return children


STEPS = [
    Case(),
    *(Case(strategy, 2) for strategy in ("ddp", "zero1", "fsdp")),
    *(Case(strategy, 2, 2) for strategy in ("ddp", "zero1", "fsdp")),
    Case("fsdp", 2, 2, reshard=False),
    *(Case(strategy, 4) for strategy in ("ddp", "zero1", "fsdp")),
    Case("hsdp", 4, per_host=2),
    Case("hsdp", 2, 2, per_host=1),
    *(
        Case(strategy, size, optimizer=name, per_host=2 if strategy == "hsdp" else None)
        for name in ("adamw", "lamb", "bertadam", "adam")
        for strategy, size in (("ddp", 1), ("zero1", 2), ("fsdp", 4), ("hsdp", 4))
    ),
    # Without clipping, a factor on all gradients is seen.
    *(Case(strategy, size, clip=0.0) for strategy, size in (("ddp", 1), ("ddp", 2), ("fsdp", 2))),
    Case("hsdp", 4, per_host=2, clip=0.0),
    Case(dtype=torch.float32),
    *(Case("ddp", 2, compression=name, dtype=torch.float32) for name in ("none", "fp16", "bf16")),
    Case(dtype=torch.bfloat16),
    *(Case(name, 2, dtype=torch.bfloat16) for name in ("ddp", "zero1", "fsdp")),
]


def steps(folder: Path) -> None:
    """Train in every way."""
    for size in (1, 2, 4):

        def work(group) -> None:
            for case in STEPS:
                if case.size == group.size:
                    weights = train(case, group)
                    if group.rank == 0:
                        save_file(weights, folder / f"{case.name}.safetensors")

        assert together(size, work) == [0] * size
    save_file(model(Case()).state_dict(), folder / "fresh.safetensors")


class Scored:
    """An evaluation that only rank 0 makes: it runs the model, the others do not."""

    chooses, better = "loss", -1

    def __init__(self, ranks) -> None:
        self.ranks, self.values = ranks, []

    def __call__(self, model):
        value = 0.0
        with torch.inference_mode(), self.ranks.whole(model):
            model.eval()
            for part in np.arange(10).reshape(2, 5)[: 2 if self.ranks.rank == 0 else 0]:
                batch = Instances(Masked(ROWS)).batch(part, 0, torch.device("cpu"))
                found = PretrainingObjective().sums(model, batch)
                value += float(sum(found.losses))
        self.values.append(value)
        return {"dev": {"loss": value}}


def alone_in_between(folder: Path) -> None:
    """One rank runs the model by itself between steps."""
    for size, names in ((1, ["ddp"]), (2, ["ddp", "zero1", "fsdp", "hsdp"])):

        def work(group, names=names) -> None:
            for name in names:
                case = Case(name, group.size, per_host=2)
                ranks, ours = ranks_of(case, group), model(case)
                scored = Scored(ranks)
                fit(
                    ours,
                    tiny.tokenizer(),
                    Instances(Masked(ROWS)),
                    settings(case, eval_steps=3),
                    ranks=ranks,
                    objective=PretrainingObjective(),
                    evaluation=scored,
                )
                weights = ranks.weights(ours)
                if group.rank == 0:
                    save_file(weights, folder / f"{name}-{group.size}.safetensors")
                    path = folder / f"{name}-{group.size}.json"
                    path.write_text(json.dumps(scored.values))

        assert together(size, work) == [0] * size


def traffic(folder: Path) -> None:
    """Count what the ranks exchange while gradients are made."""
    import torch.distributed as dist

    def work(group) -> None:
        found = {}
        for strategy in ("ddp", "zero1", "fsdp"):
            for accumulate in (1, 2, 3):
                case = Case(strategy, 2, accumulate)
                ours, ranks, sent, inside = model(case).train(), ranks_of(case, group), [], []
                modules = ModuleState(ours, ranks=ranks)
                modules.prepare(torch.float64)
                named = ranks.parameters(ours)
                optimizer = Optimizer("sgd", named, owned=ranks.owned(named))
                goal = PretrainingObjective()
                stepper = Stepper(modules, optimizer, Scaler(), objective=goal)
                backward = torch.Tensor.backward

                def watched(tensor, backward=backward, inside=inside, sent=sent):
                    before = len(sent)
                    backward(tensor)
                    inside.append(len(sent) - before)

                torch.Tensor.backward = watched
                kept = {}
                kinds = ("all_reduce", "reduce_scatter", "all_gather")  # of any spelling
                for name in [each for each in dir(dist) if each.startswith(kinds)]:
                    kept[name] = getattr(dist, name)

                    def counted(*args, name=name, kept=kept, sent=sent, kinds=kinds, **kwargs):
                        sent.append(next(kind for kind in kinds if name.startswith(kind)))
                        return kept[name](*args, **kwargs)

                    setattr(dist, name, counted)
                device = torch.device("cpu")
                batches = [
                    Instances(Masked(ROWS)).batch(np.arange(4) + 4 * micro, 0, device)
                    for micro in range(accumulate)
                ]
                stepper.step(0, batches, 0.1)
                torch.Tensor.backward = backward
                for name, function in kept.items():
                    setattr(dist, name, function)
                ranks.release()
                counts = {name: sent.count(name) for name in sorted(set(sent))}
                found[f"{strategy}-{accumulate}"] = {"sent": counts, "inside": inside}
        if group.rank == 0:
            (folder / "traffic.json").write_text(json.dumps(found))

    assert together(2, work) == [0, 0]


class Failed(Exception):
    """The run breaks off."""


def failing(folder: Path) -> None:
    """Runs that break off in the head, or with gradients at hand: no hook stays, no copy."""
    from plainbert.nn import pretraining_heads

    def fail(*args, **kwargs):
        raise Failed

    def attributes(ours):
        """Names by module, without torch's own marks on what FSDP cuts up."""
        return {
            name: {key for key in vars(module) if "fsdp" not in key and "__" not in key}
            for name, module in ours.named_modules()
            if name
        }

    def work(group) -> None:
        for strategy in ("ddp", "zero1", "fsdp"):
            for place in ((pretraining_heads, "product"), (Optimizer, "step")):
                case = Case(strategy, 2, dtype=torch.bfloat16)
                ours, ranks, kept = model(case), ranks_of(case, group), getattr(*place)
                before = attributes(ours)
                setattr(*place, fail)
                try:
                    data, goal = Instances(Masked(ROWS)), PretrainingObjective()
                    fit(ours, tiny.tokenizer(), data, settings(case), ranks=ranks, objective=goal)
                except Failed:
                    pass
                else:
                    raise AssertionError("it did not fail")
                finally:
                    setattr(*place, kept)
                assert attributes(ours) == before
                for parameter in ours.parameters():
                    assert parameter.grad is None
                    assert not parameter._post_accumulate_grad_hooks
                assert not ours.cls.predictions._forward_hooks
                assert not ours.cls.predictions._forward_pre_hooks
                group.barrier()

    assert together(2, work) == [0, 0]


def stopped(folder: Path) -> None:
    """One rank is told to end: all of them save, at the same step, and end."""

    def work(group) -> None:
        whole = Stepper.step

        def told(self, number, *rest):
            if number == 3 and group.rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return whole(self, number, *rest)

        Stepper.step = told
        for strategy in ("ddp", "fsdp"):
            place = folder / f"stopped-{strategy}"
            with contextlib.suppress(Stopped) if strategy == "ddp" else contextlib.nullcontext():
                train(Case(strategy, 2), group, folder=place, save_steps=100)
                raise AssertionError("it did not stop")

    assert together(2, work) == [128 + signal.SIGTERM] * 2


def missing(folder: Path) -> None:
    """Parameters without gradients: on one rank, on all; frozen ones; two number formats."""

    def work(group) -> None:
        kinds = (torch.float64, torch.float64, torch.float32, torch.float64, torch.float64)
        own = [torch.nn.Parameter(torch.full((2,), 1.0, dtype=kind)) for kind in kinds]
        own[4].requires_grad_(False)
        ours = Buckets(own, group)
        for step in range(2):
            for micro in range(2):
                ours.begin(last=micro == 1)
                terms = [own[0].sum() * (1 + group.rank + 10 * step), own[2].double().sum()]
                if group.rank == 1 and micro == 0:
                    terms.append(own[1].sum() * 7)
                sum(terms).backward()
            ours.finish()
            assert own[0].grad.tolist() == [2 * (1 + 2 + 20 * step)] * 2
            assert own[1].grad.tolist() == [7.0, 7.0]
            assert own[2].grad.tolist() == [4.0, 4.0]
            assert own[2].grad.dtype is torch.float32
            assert own[3].grad is None
            assert own[4].grad is None
            for each in own:
                each.grad = None
        ours.remove()
        own[0].sum().backward()
        assert own[0].grad.tolist() == [1.0, 1.0]

    assert together(2, work) == [0, 0]


def main() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    folder = Path(sys.argv[2])
    for job in sys.argv[1].split(","):
        globals()[job](folder, *sys.argv[3:])


if __name__ == "__main__":
    main()
