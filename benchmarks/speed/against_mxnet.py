"""Why not MXNet: real GluonNLP 0.10 on MXNet 1.9.1 against plainbert, on the same lengths.

    conda env create -f env-mxnet.yml          # or a virtual environment with the same packages
    python -m benchmarks.speed.against_mxnet --mxnet_python PATH/TO/ITS/python

Both sides classify, then fine-tune, the same number of sequences of the same lengths (sentences of
``data/pretrain``) at the size of all-MiniLM-L6-v2 and of BERT-base, batch 32, two threads. MXNet
gets float32, padded to the longest of a batch, the batches sorted by length (the kindest case for
it); ours runs float32 and bfloat16. Weights are random on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import measure
from benchmarks.measure import ROOT
from plainbert import text_files
from plainbert.batching.batch import collate
from plainbert.batching.features import Features
from plainbert.batching.sampler import Sampler
from plainbert.config import BertConfig
from plainbert.infer import logits
from plainbert.infer.precision import Precision
from plainbert.nn.heads import Classifier
from plainbert.train.module_state import ModuleState
from plainbert.train.optim import Optimizer
from plainbert.train.step import Scaler, Stepper

SIZES = {"MiniLM size": (6, 384, 12), "BERT-base size": (12, 768, 12)}
BATCH = 32


def sentence_lengths(path: Path, count: int) -> list[int]:
    """Words of the first sentences of a text, 10 to 60: natural lengths without a tokenizer."""
    words = (len(line.split()) + 4 for _, line in text_files.read_lines(path) if line.strip())
    kept = [length for length in words if 10 <= length <= 60]
    return sorted(kept[:count])


def random_features(lengths: list[int]) -> Features:
    """Random ids of the given lengths, with two classes."""
    generator = np.random.default_rng(0)
    total = sum(lengths)
    return Features(
        ids=generator.integers(1000, 30000, total).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        types=np.zeros(total, np.uint8),
        labels=generator.integers(0, 2, len(lengths)),
    )


def mxnet(python: str, sizes: tuple[int, int, int], lengths: list[int]) -> dict[str, Any]:
    """Seconds of GluonNLP's passes."""
    job = json.dumps({"sizes": sizes, "lengths": lengths, "batch": BATCH})
    done = subprocess.run(
        [python, str(ROOT / "benchmarks" / "peers" / "gluonnlp_mxnet.py")], input=job,
        capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"MXNet's side failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def seconds(work: Callable[[], Any]) -> float:
    """Seconds of the second of two runs: the first warms up, as on MXNet's side."""
    return measure.interleaved({"run": work}, repeats=1)["run"][0]


def ours(sizes: tuple[int, int, int], features: Features, dtype: torch.dtype) -> dict[str, float]:
    """Seconds of our passes over the same sequences."""
    torch.manual_seed(0)
    config = BertConfig.from_name("bert_{}_{}_{}".format(*sizes))
    model = Classifier(config)
    inference = seconds(lambda: logits.run(model.eval(), features, precision=Precision(dtype)))
    sampler = Sampler(features.lengths, BATCH, seed=0)
    optimizer = Optimizer("bertadam", model.named_parameters())
    modules = ModuleState(model.train(), dtype)
    stepper = Stepper(modules, optimizer, Scaler.of(dtype))

    def train() -> None:
        for step in range(sampler.steps_per_epoch):
            stepper.step(step, [collate(features, part) for part in sampler.batch(step)], lr=1e-5)

    return {"inference_seconds": inference, "training_seconds": seconds(train)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mxnet_python", required=True, help="interpreter that has mxnet, gluonnlp"
    )
    parser.add_argument("--file", type=Path, default=ROOT / "data/pretrain/en_novels_sample.txt")
    parser.add_argument("--sequences", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(2)
    lengths = sentence_lengths(args.file, args.sequences)
    features = random_features(lengths)
    result: dict[str, Any] = {
        "sequences": len(lengths), "mean_length": round(float(np.mean(lengths)), 1), "threads": 2
    }  # fmt: skip
    for name, sizes in SIZES.items():
        runs: dict[str, list[dict[str, Any]]] = {"mxnet float32": [], "float32": [], "bfloat16": []}
        for _ in range(args.repeats):
            runs["mxnet float32"].append(mxnet(args.mxnet_python, sizes, lengths))
            runs["float32"].append(ours(sizes, features, torch.float32))
            runs["bfloat16"].append(ours(sizes, features, torch.bfloat16))
        result["versions"] = {
            **measure.versions(),
            **{key: runs["mxnet float32"][0][key] for key in ("mxnet", "gluonnlp", "numpy")},
        }
        entry: dict[str, dict[str, float]] = {}
        for side, found in runs.items():
            entry[side] = {
                kind: round(
                    len(lengths) / measure.median(run[f"{kind}_seconds"] for run in found), 1
                )
                for kind in ("inference", "training")
            }
            print(f"{name:15} {side:14} sequences/s: {entry[side]}")
        result[name] = entry
    measure.save("speed/against_mxnet", result)


if __name__ == "__main__":
    main()
