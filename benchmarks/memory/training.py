"""Memory of pre-training over thousands of steps, with few compiled products kept and with many.

    python -m benchmarks.memory.training
    python -m benchmarks.memory.training --steps 1000 --turn 100

oneDNN compiles a 16-bit product for every shape that it meets, and batches of natural lengths have
ever new shapes. Both contenders are our training step in bfloat16 with the same weights, instances
and order; one keeps as many compiled products as plainbert does, the other as many as torch does by
itself. Each is a process of its own; they take turns, and processor seconds are counted, so that
their speed may be compared. What they trained must be equal bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from time import process_time
from typing import Any

from benchmarks import measure
from benchmarks.peers import pretraining as peer
from plainbert.cli.run import run as run_script
from plainbert.config import BertConfig
from plainbert.infer import compiled
from plainbert.tasks.pretraining.raw_text import RawText

FEW, MANY = f"{compiled.MOST} kept (plainbert)", "1024 kept (torch)"
CAPACITY = {FEW: compiled.MOST, MANY: 1024}
LENGTH = 128


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--size", default="bert_2_64_2", help="of the model (bert_2_64_2)")
    add("--vocabulary", type=int, default=4000, help="rows of it; ids are taken modulo (4000)")
    add("--batch_tokens", type=int, default=1024, help="tokens of a step (1024)")
    add("--steps", type=int, default=5000, help="in all (5000)")
    add("--turn", type=int, default=250, help="steps of a turn, after which memory is read (250)")
    add("--threads", type=int, default=1, help="of torch, in each process (1)")
    add("--worker", metavar="CACHE", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    args = parse_args(argv)
    if args.worker:
        work(args)
        return
    words = [str(word) for word in (sys.argv[1:] if argv is None else argv)]
    turns = args.steps // args.turn
    with tempfile.TemporaryDirectory() as cache:
        RawText.of([str(peer.SAMPLE)], peer.vocabulary(), peer.masking(LENGTH), cache)
        workers = {
            name: measure.Contender(
                name,
                ["benchmarks.memory.training", *words, "--worker", cache],
                **dict.fromkeys(compiled.VARIABLES, str(capacity)),
            )
            for name, capacity in CAPACITY.items()
        }
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
        for turn in range(turns):
            order = list(workers)[:: 1 if turn % 2 else -1]
            for name in order:
                rows[name].append(workers[name].run(turn))
            line = ", ".join(f"{name}: {rows[name][-1]['resident_mb']} MB" for name in workers)
            print(f"step {(turn + 1) * args.turn}: {line}", flush=True)
        for worker in workers.values():
            worker.close()
    digests = {name: parts[-1]["weights"] for name, parts in rows.items()}
    assert len(set(digests.values())) == 1, digests
    settled = [turn for turn in range(turns) if turn * args.turn >= 500]
    ratios = [
        rows[MANY][turn]["cpu_seconds"] / rows[FEW][turn]["cpu_seconds"] for turn in range(1, turns)
    ]
    measure.save(
        "memory/training",
        {
            "what": "resident memory of pre-training steps in bfloat16, natural lengths",
            "versions": measure.versions(),
            "size": args.size,
            "vocabulary": args.vocabulary,
            "batch_tokens": args.batch_tokens,
            "threads": args.threads,
            "steps": [(turn + 1) * args.turn for turn in range(turns)],
            "resident_mb": {
                name: [part["resident_mb"] for part in parts] for name, parts in rows.items()
            },
            "growth_after_500_steps_mb": {
                name: round(parts[-1]["resident_mb"] - parts[settled[0] - 1]["resident_mb"], 1)
                for name, parts in rows.items()
                if settled
            },
            "cpu_seconds": {
                name: [part["cpu_seconds"] for part in parts] for name, parts in rows.items()
            },
            "speed_few_to_many": round(measure.median(ratios), 3),
            "weights_equal": True,
        },
    )


def work(args: argparse.Namespace) -> None:
    """A contender: take turns of some steps."""
    import torch

    from plainbert.batching.sampler import Sampler
    from plainbert.nn.pretraining_heads import Pretraining
    from plainbert.tasks.pretraining.features import Instances
    from plainbert.tasks.pretraining.objective import PretrainingObjective
    from plainbert.train.module_state import ModuleState
    from plainbert.train.optim import Optimizer
    from plainbert.train.step import Scaler, Stepper

    torch.set_num_threads(args.threads)
    source = RawText.of(
        [str(peer.SAMPLE)], peer.vocabulary(), peer.masking(LENGTH), args.worker, bar=False
    )
    config = BertConfig.from_name(args.size).replace(vocab_size=args.vocabulary)
    torch.manual_seed(0)
    model = Pretraining(config)
    model.train()
    optimizer = Optimizer("adamw", model.named_parameters(), peer.DECAY, peer.EPSILON)
    modules = ModuleState(model, torch.bfloat16)
    stepper = Stepper(modules, optimizer, Scaler(), peer.NORM, objective=PretrainingObjective())
    data = Instances(SmallVocabulary(source, args.vocabulary))
    sampler = Sampler(source.lengths, args.batch_tokens, 0, tokens=True)
    print("ready", flush=True)
    for line in sys.stdin:
        start = process_time()
        for step in range(int(line) * args.turn, (int(line) + 1) * args.turn):
            epoch = sampler.epoch(step)
            batches = [data.batch(ids, epoch, torch.device("cpu")) for ids in sampler.batch(step)]
            stepper.step(step, batches, peer.LR)
        seconds = process_time() - start
        digest = hashlib.sha256()
        for parameter in model.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        answer = {
            "cpu_seconds": round(seconds, 2),
            "resident_mb": measure.resident_mb(),
            "weights": digest.hexdigest()[:16],
        }
        print(json.dumps(answer), flush=True)


class SmallVocabulary:
    """Instances whose ids are those of a small model: lengths and masks are what counts here."""

    def __init__(self, source: RawText, size: int) -> None:
        self.source, self.size, self.lengths = source, size, source.lengths

    def rows(self, index: peer.Ids, epoch: int = 0) -> Any:
        """Some instances, with the same ids whenever they come."""
        from dataclasses import replace

        rows = self.source.rows(index, epoch)
        size = self.size
        return replace(rows, ids=rows.ids % size, masked_ids=rows.masked_ids % size)


if __name__ == "__main__":
    run_script(main)
