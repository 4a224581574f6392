"""Training on questions and answering them, against ``transformers`` and its ``run_qa`` recipe.

    python -m benchmarks.speed.answers
    python -m benchmarks.speed.answers --file dev-v1.1.json
    python -m benchmarks.speed.answers --file dev-v1.1.json --parts predict --questions 500

Every contender is a process of its own, starts from the weights of all-MiniLM-L6-v2 and takes its
turn with the others; ``peers/squad.py`` holds the peer.

train: one pass over the same windows of at most 384 tokens (--windows of them, at even distances),
batches of 32, dropout 0.1 everywhere, clipping, AdamW. Making windows is not timed, making batches
is. The peer runs in float32 with torch's default AdamW and in bfloat16 autocast with fused AdamW,
each padded to 384 tokens, as the recipe does, and padded to the longest window of a batch.

predict: all questions of the file (--questions limits them) from texts to answers, end to end:
windows, logits, search. Ours in float32 and bfloat16; the peer in float32, batches of 32, both
paddings, its tokenizer on all threads. Each cuts windows as its own script does. --model_dir takes
a fine-tuned folder: the F1 of both sides is then that of the same weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import ROOT
from benchmarks.peers.answers import (
    BATCH,
    CONTENDERS,
    OURS16,
    OURS32,
    contend,
    questions,
    training_windows,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    sample = ROOT / "tests" / "fixtures" / "squad" / "dev-v1.1.json"
    parser.add_argument("--file", type=Path, default=sample, help="questions in SQuAD's form")
    parser.add_argument("--parts", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--windows", type=int, default=320, help="of a training pass (320)")
    parser.add_argument("--questions", type=int, help="to answer: the first N (default: all)")
    parser.add_argument("--model_dir", default="all-MiniLM-L6-v2", help="(all-MiniLM-L6-v2)")
    parser.add_argument("--repeats", type=int, default=3, help="timed passes of training (3)")
    parser.add_argument("--rounds", type=int, default=1, help="timed rounds of predicting (1)")
    parser.add_argument("--threads", type=int, default=2, help="of torch, in each process (2)")
    parser.add_argument("--name", default="answers", help="results/speed/NAME.json (answers)")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def compare(args: argparse.Namespace, part: str, given: list[str]) -> dict[str, Any]:
    """All contenders of a part, in turns."""
    if part == "train":
        lengths = training_windows(args).lengths
        size, repeats = len(lengths), args.repeats
        about = {"windows": size, "mean_tokens": round(float(lengths.mean()), 1)}
    else:
        size, repeats = len(questions(args)), args.rounds
        about = {"questions": size}
    workers = {
        name: measure.Contender(
            name, ["benchmarks.speed.answers", *given, "--contender", name, "--parts", part],
            TOKENIZERS_PARALLELISM="true", RAYON_NUM_THREADS=str(args.threads),
        )
        for name in CONTENDERS[part]
    }  # fmt: skip
    for worker in workers.values():
        worker.run(0)  # warms up: compiled matrix products, optimizer slots, file cache
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for seed in range(1, repeats + 1):
        for name, worker in workers.items():
            turns[name].append(worker.run(seed))
            print(f"  {part} {seed}: {name}: {turns[name][-1]['seconds']:.1f} s", flush=True)
    for worker in workers.values():
        worker.close()
    speed = {
        name: size / measure.median(turn["seconds"] for turn in each)
        for name, each in turns.items()
    }
    ours = [name for name in speed if name in (OURS16, OURS32)]
    result = {
        **about,
        "batch_size": BATCH,
        "repeats": repeats,
        "per_second": {name: round(value, 1) for name, value in speed.items()},
        "turns": turns,
        "ratio": {
            f"{name} / {peer}": round(speed[name] / speed[peer], 2)
            for name in ours
            for peer in speed
            if peer not in ours
        },
    }
    print(f"{part}: {about}, {args.threads} threads")
    for name, value in speed.items():
        print(f"  {name:70} {value:8.1f} /s {turns[name][-1]['peak_mib']:6} MiB")
    for name, ratio in result["ratio"].items():
        print(f"  {ratio:6.2f}  {name}")
    return result


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    if args.contender:
        contend(args)
        return {}
    given = list(sys.argv[1:] if argv is None else argv)
    parts = {part: compare(args, part, given) for part in args.parts}
    result = {
        "versions": measure.versions("transformers", "tokenizers", "numpy"),
        "model": args.model_dir, "file": args.file.name, "dropout": 0.1, "threads": args.threads,
        **parts,
    }  # fmt: skip
    measure.save(f"speed/{args.name}", result)
    return result


if __name__ == "__main__":
    main()
