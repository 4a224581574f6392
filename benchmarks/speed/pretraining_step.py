"""Optimizer steps of pre-training (masked words, next sentence) against ``transformers`` loops.

    python -m benchmarks.speed.pretraining_step
    python -m benchmarks.speed.pretraining_step --text my_text.txt --repeats 5
    python -m benchmarks.speed.pretraining_step --device cuda

All contenders (``peers/pretraining.py``) have the same sizes, weights, instances and masks, dropout
0.1, AdamW with the same constants, and clip gradients to norm 1. Each is a process of its own, so
that peak memory is its own; they take turns, and every turn has other instances. Making batches is
timed, making instances is not. Tokens are those of the instances: padding does not count.

Peers pad a batch to its longest row and compute the loss of ``BertForPreTraining``: (a) float32 and
torch's default AdamW, (b) bfloat16 autocast and fused AdamW; on a GPU (b) with torch.compile. Ours
sorts the instances of a turn into batches of similar length, as it trains (there those of 50 steps,
here the few of a turn), and is timed with random batches too. Lengths: natural, as
create_pretraining_data.py makes them (short_seq_prob 0.1), and instances of full length only.

On a GPU attention has no dropout, on either side, unless --attention_dropout is given: the packed
attention kernel has none. Utilisation is of the rate of large matrix products in the same run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.peers import pretraining as peer
from plainbert.cli.run import run as run_script

CONTENDERS = {
    "cpu": (peer.FLOAT32, peer.AUTOCAST, peer.OURS, peer.UNBUCKETED),
    "cuda": (peer.COMPILED, peer.OURS, peer.UNBUCKETED),
}
SIZES = {"cpu": ["bert_4_256_4", "bert_6_384_12"], "cuda": ["bert_12_768_12", "bert_24_1024_16"]}
LENGTHS = {"cpu": [128], "cuda": [128, 512]}
TOKENS = {"cpu": 2048, "cuda": 32768}
WARMUP = {"cpu": 1, "cuda": 2}  # turns


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add(
        "--text",
        type=Path,
        default=peer.SAMPLE,
        help="a sentence per line, a blank line between documents (the novels in data/)",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (cpu)")
    add("--sizes", nargs="+", metavar="NAME", help=f"of the models ({' '.join(SIZES['cpu'])})")
    add("--lengths", type=int, nargs="+", metavar="L", help="tokens of an instance at most (128)")
    add("--batch_tokens", type=int, help="instances per step times L (2048; on a GPU 32768)")
    add("--steps", type=int, default=4, help="of one turn (4)")
    add("--repeats", type=int, default=3, help="timed turns of each (3)")
    add("--threads", type=int, default=2, help="of torch, in each process (2)")
    add("--attention_dropout", type=float, help="of both sides (0.1; on a GPU 0)")
    add("--name", help="results/speed/NAME.json (pretraining_step; on a GPU pretraining_step_cuda)")
    args = parser.parse_args(argv)
    args.sizes = args.sizes or SIZES[args.device]
    args.lengths = args.lengths or LENGTHS[args.device]
    args.batch_tokens = args.batch_tokens or TOKENS[args.device]
    args.name = args.name or f"pretraining_step{'_cuda' if args.device == 'cuda' else ''}"
    if args.attention_dropout is None:
        args.attention_dropout = 0.0 if args.device == "cuda" else 0.1
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    peer.check_device(args.device)
    import torch

    from plainbert.tasks.pretraining.evaluate import matrix_rate

    torch.set_num_threads(args.threads)
    matrix = matrix_rate(torch.device(args.device), torch.bfloat16, 1.0)
    result: dict[str, Any] = {
        "what": "pre-training steps, masked words and next sentence; tokens without padding",
        "versions": measure.versions("transformers", "numpy"),
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "corpus": args.text.name,
        "dropout": {"hidden": 0.1, "attention": args.attention_dropout},
        "batch_tokens": args.batch_tokens,
        "steps_per_turn": args.steps,
        "repeats": args.repeats,
        "threads": args.threads,
        "matrix_tflops_bfloat16": round(matrix / 1e12, 3),
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as cache:
        for size in args.sizes:
            work = peer.Work(
                str(args.text),
                cache,
                args.device,
                size,
                args.lengths,
                args.batch_tokens,
                args.steps,
                WARMUP[args.device] + args.repeats,
                args.threads,
                args.attention_dropout,
            )
            result["sizes"][size] = compare(work, matrix)
    measure.save(f"speed/{args.name}", result)
    return result


def compare(work: peer.Work, matrix: float) -> dict[str, Any]:
    """All kinds of lengths with one size.

    Args:
        work: what to do.
        matrix: operations per second of matrix products.
    """
    sources = {length: work.instances(length) for length in work.lengths}
    workers = {
        name: measure.Contender(name, [peer.__name__, name, json.dumps(asdict(work))])
        for name in CONTENDERS[work.device]
    }
    result: dict[str, Any] = {}
    for length, source in sources.items():
        for kind, rows in work.rows(source, length).items():
            result[kind] = _race(work, workers, source, kind, rows, matrix)
    memory = {name: round(worker.last["peak_mib"]) for name, worker in workers.items()}
    print("  peak memory, MiB:", ", ".join(f"{name}: {each}" for name, each in memory.items()))
    for worker in workers.values():
        worker.close()
    return {**result, "peak_mib": memory}


def _race(
    work: peer.Work,
    workers: dict[str, measure.Contender],
    source: Any,
    kind: str,
    rows: peer.Ids,
    matrix: float,
) -> dict[str, Any]:
    """One kind of lengths; ``rows``: numbers of the instances of every turn."""
    from plainbert.tasks.pretraining.evaluate import flops_per_token

    warmup = WARMUP[work.device]
    own = [peer.OURS, peer.UNBUCKETED] if kind.startswith("natural") else [peer.OURS]
    theirs = [name for name in workers if name not in (peer.OURS, peer.UNBUCKETED)]
    names = [*theirs, *own]
    seconds = measure.interleaved(
        {name: partial(workers[name].run, kind) for name in names}, work.turns - warmup, warmup
    )
    tokens = source.lengths[rows[warmup:]].sum(1)  # of every turn
    speed = {
        name: measure.median((tokens / np.array(each)).tolist()) for name, each in seconds.items()
    }
    found = source.rows(np.unique(rows))
    length, share = float(found.lengths.mean()), len(found.masked_ids) / len(found.ids)
    useful = flops_per_token(work.config, length, share) / matrix
    result: dict[str, Any] = {
        "mean_length": round(length, 1),
        "masked_share": round(share, 4),
        "tokens_per_second": {name: round(speed[name], 1) for name in names},
        "utilization": {name: round(speed[name] * useful, 3) for name in names},
        "mean_loss_of_last_turn": {name: round(workers[name].last["loss"], 3) for name in names},
        "seconds": {name: [round(s, 3) for s in each] for name, each in seconds.items()},
        "ratio": {
            f"{ours} / {other}": round(speed[ours] / speed[other], 2)
            for ours in own
            for other in theirs
        },
    }
    print(f"{work.size}, {kind} tokens ({length:.1f} on average), {work.threads} threads")
    for name in names:
        loss, used = workers[name].last["loss"], 100 * speed[name] * useful
        print(f"  {name:60} {speed[name]:11,.0f} tokens/s {used:5.1f} %  loss {loss:.3f}")
    for name, ratio in result["ratio"].items():
        print(f"  {ratio:6.2f}  {name}", flush=True)
    return result


if __name__ == "__main__":
    run_script(main)
