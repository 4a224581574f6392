"""One pass of fine-tuning over the same examples, against plain ``transformers`` loops.

    python -m benchmarks.speed.finetune
    python -m benchmarks.speed.finetune --file data/glue_data/QNLI/train.tsv --text_columns 1,2

Every contender is a process of its own (so that peak memory is its own), starts from the weights
of all-MiniLM-L6-v2, has dropout 0.1 everywhere and trains on batches of 32. The peers pad a batch
to its longest row. Runs take turns and each has its own order of the data; tokenising is not timed,
making batches is. Peers: (a) float32 and torch's default AdamW, (b) bfloat16 autocast and fused
AdamW. Ours is timed with batches of similar length (as it trains) and of random rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.measure import ROOT
from plainbert import text_files
from plainbert.batching.features import Features, featurize

MODEL = "all-MiniLM-L6-v2"
BATCH, LR = 32, 2e-5
FLOAT32, AUTOCAST = "transformers float32", "transformers bfloat16 autocast, fused AdamW"
OURS, UNBUCKETED = "plainbert bfloat16", "plainbert bfloat16, batches of random rows"
CONTENDERS = (FLOAT32, AUTOCAST, OURS, UNBUCKETED)
Pass = Callable[[int], None]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    sample = ROOT / "data" / "sms_spam" / "train.tsv"
    parser.add_argument("--file", type=Path, default=sample, help="TSV with a header")
    parser.add_argument("--text_columns", default="1", help="numbers from 0, between commas (1)")
    parser.add_argument("--examples", type=int, default=1600, help="rows of one pass (1600)")
    parser.add_argument("--max_len", type=int, default=128, help="tokens per row at most (128)")
    parser.add_argument("--repeats", type=int, default=3, help="timed passes of each (3)")
    parser.add_argument("--threads", type=int, default=2, help="of torch, in each process (2)")
    parser.add_argument("--name", default="finetune", help="results/speed/NAME.json (finetune)")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def read(args: argparse.Namespace) -> Features:
    """Tokenise the rows. Labels are drawn: what they say does not change what a step costs."""
    from plainbert.model_zoo import resolve
    from plainbert.text.reader import read_tokenizer

    columns = [int(column) for column in args.text_columns.split(",")]
    rows = [line.split("\t") for _, line in text_files.read_lines(args.file)][1 : args.examples + 1]
    texts = [tuple(row[column] for column in columns) for row in rows]
    labels = np.random.default_rng(0).integers(0, 2, len(texts))
    return featurize(read_tokenizer(resolve(MODEL)), texts, args.max_len, labels)


def transformers_pass(features: Features, autocast: bool) -> Pass:
    """The usual loop."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import BertForSequenceClassification

    from plainbert.model_zoo import resolve

    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(resolve(MODEL), num_labels=2).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, fused=autocast or None)
    ids = [torch.tensor(features.row(row)) for row in range(len(features))]
    types = [
        torch.from_numpy(each.astype(np.int64))
        for each in np.split(features.types, features.offsets[1:-1])
    ]
    labels = torch.from_numpy(features.labels)

    def run(seed: int) -> None:
        for rows in torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed)).split(
            BATCH
        ):
            batch = pad_sequence([ids[row] for row in rows], batch_first=True)
            kinds = pad_sequence([types[row] for row in rows], batch_first=True)
            lengths = torch.tensor([len(ids[row]) for row in rows])
            mask = (torch.arange(batch.shape[1]) < lengths[:, None]).long()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = model(
                    input_ids=batch, token_type_ids=kinds, attention_mask=mask, labels=labels[rows]
                ).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return run


def plainbert_pass(features: Features, bucket: bool) -> Pass:
    """Our training step, as the loop runs it."""
    import torch

    from plainbert.batching.batch import Examples
    from plainbert.batching.sampler import Sampler
    from plainbert.model_zoo import open_folder
    from plainbert.train.module_state import ModuleState
    from plainbert.train.optim import Optimizer
    from plainbert.train.step import Scaler, Stepper

    model: Any = open_folder(
        MODEL, head="classification", labels=("0", "1"), fresh_head=True
    ).model.train()
    optimizer = Optimizer("bertadam", model.named_parameters())
    stepper = Stepper(ModuleState(model, torch.bfloat16), optimizer, Scaler(), 1.0)
    examples, cpu = Examples(features), torch.device("cpu")

    def run(seed: int) -> None:
        sampler = Sampler(features.lengths, BATCH, seed, bucket=bucket)
        for step in range(sampler.steps_per_epoch):
            batches = [examples.batch(rows, 0, cpu) for rows in sampler.batch(step)]
            stepper.step(step, batches, LR)

    return run


def contend(args: argparse.Namespace) -> None:
    """Be one contender: a pass for every seed that arrives on standard input."""
    import torch

    torch.set_num_threads(args.threads)
    features = read(args)
    if args.contender in (FLOAT32, AUTOCAST):
        run = transformers_pass(features, args.contender == AUTOCAST)
    else:
        run = plainbert_pass(features, args.contender == OURS)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        run(int(line))
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak_mib": round(peak)}), flush=True)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    if args.contender:
        contend(args)
        return {}
    features = read(args)
    given = list(sys.argv[1:] if argv is None else argv)
    workers = {
        name: measure.Contender(name, ["benchmarks.speed.finetune", *given, "--contender", name])
        for name in CONTENDERS
    }
    for worker in workers.values():
        worker.run(0)  # warms up: compiled matrix products, optimizer slots, file cache
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for seed in range(1, args.repeats + 1):
        for name, worker in workers.items():
            turns[name].append(worker.run(seed))
    for worker in workers.values():
        worker.close()
    speed = {
        name: len(features) / measure.median(turn["seconds"] for turn in each)
        for name, each in turns.items()
    }
    result = {
        "versions": measure.versions("transformers", "numpy"),
        "model": MODEL,
        "corpus": f"{args.file.name} of {args.file.parent.name}, {len(features)} rows",
        "mean_tokens": round(float(features.lengths.mean()), 1),
        "batch_size": BATCH,
        "dropout": 0.1,
        "threads": args.threads,
        "repeats": args.repeats,
        "examples_per_second": {name: round(value, 1) for name, value in speed.items()},
        "seconds": {
            name: [round(turn["seconds"], 2) for turn in each] for name, each in turns.items()
        },
        "peak_mib": {name: each[-1]["peak_mib"] for name, each in turns.items()},
        "ratio": {
            f"{ours} / {peer}": round(speed[ours] / speed[peer], 2)
            for ours in (OURS, UNBUCKETED)
            for peer in (FLOAT32, AUTOCAST)
        },
    }
    print(f"{result['corpus']}, {result['mean_tokens']} tokens on average, {args.threads} threads")
    for name in CONTENDERS:
        print(f"  {name:46} {speed[name]:8.1f} rows/s {result['peak_mib'][name]:6} MiB")
    for name, ratio in result["ratio"].items():
        print(f"  {ratio:6.2f}  {name}")
    measure.save(f"speed/{args.name}", result)
    return result


if __name__ == "__main__":
    main()
