"""What pre-training is worth: a small BERT from scratch, and a published one adapted to novels.

    python benchmarks/pretraining_quality.py scratch --data DATA --folder runs/recipe
    python benchmarks/pretraining_quality.py adapt --data DATA --folder runs/recipe

DATA holds ``pretrain/en_novels.txt.xz``, ``pretrain/en_wiki_squad.txt.xz`` and, for ``scratch``,
``stsb_ccbysa_subset/{train,dev}.tsv`` and ``qnli/dev.tsv``. The commands are those of the README;
their output goes to ``results/pretraining``. What is finished in the folder is not repeated.

scratch: a vocabulary and shards from both texts; every tenth shard is held out. Then a model of
bert_4_256_4 is pre-trained on the others. Its accuracy on the held-out masks stands beside that of
the most frequent token, and of the token seen most often next to the left or to the right
neighbour, counted on the same training shards. Then the model and one with random weights are
fine-tuned alike (3 seeds) on STS-B (Pearson) and QNLI (accuracy), rows as in ``quality.py``, QNLI
with all its training rows.

adapt: all-MiniLM-L6-v2, which was published without a head for masked words, goes on with the
novels. Losses before and after are of the same held-out masks.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # run as a file from anywhere
import quality
import report

from plainbert import files
from plainbert.corpus.shards import Shards

ROOT = Path(__file__).resolve().parent.parent
LOGS = report.RESULTS / "pretraining"
HELD_OUT, TRAIN, EVALUATED = "part-*0.npz", "part-*[!0].npz", 4000
CREATE = ("--max_seq_length", "128", "--max_predictions_per_seq", "20", "--num_outputs", "40")
SCRATCH = (
    "--model", "bert_4_256_4", "--num_steps", "10000", "--batch_size", "4096", "--use_avg_len",
    "--optimizer", "adamw", "--lr", "1e-3", "--warmup_ratio", "0.05", "--dropout", "0",
    "--attention_dropout", "0", "--log_interval", "200", "--ckpt_interval", "1000",
    "--eval_interval", "5000",
)  # fmt: skip
ADAPT = (
    "--model_dir", "all-MiniLM-L6-v2", "--no_nsp", "--num_steps", "1000", "--batch_size", "4096",
    "--use_avg_len", "--optimizer", "adamw", "--lr", "3e-4", "--warmup_ratio", "0.1",
    "--dropout", "0", "--attention_dropout", "0", "--log_interval", "50", "--ckpt_interval", "500",
)  # fmt: skip
TASKS = ("stsb", "qnli")
SEEDS = (1, 2, 3)


def script(name: str, log: str, *words: str) -> float:
    """Run one of our scripts and keep what it prints; seconds."""
    command = [sys.executable, str(ROOT / "scripts/bert" / f"{name}.py"), *words]
    start = time.perf_counter()
    done = subprocess.run(
        command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    LOGS.mkdir(exist_ok=True)
    (LOGS / f"{log}.log").write_text(done.stdout, encoding="utf-8")
    done.check_returncode()
    return time.perf_counter() - start


def pretrain(shards: Path, run: Path, log: str, words: tuple[str, ...]) -> float:
    """Pre-train unless it is done, going on where it was interrupted; seconds of this part."""
    again = ("--resume",) if (run / "last").exists() else ("--overwrite",)
    return script(
        "run_pretraining", log, "--data", str(shards / TRAIN), "--data_eval",
        str(shards / HELD_OUT), "--max_eval_samples", str(EVALUATED), "--ckpt_dir", str(run),
        *words, *again,
    )  # fmt: skip


def neighbours(shards: Path, size: int) -> dict[str, float]:
    """Share of the held-out masks that a count of tokens, or of pairs of tokens, gets right.

    Args:
        shards: folder with both.
        size: rows of the vocabulary.
    """
    train = Shards.open([str(shards / TRAIN)])
    single = np.zeros(size, np.int64)
    pairs = np.zeros((size, size), np.int32)
    for start in range(0, len(train.lengths), 4096):
        rows = train.rows(np.arange(start, min(start + 4096, len(train.lengths))))
        ids = rows.ids.copy()
        ids[rows.masked_rows] = rows.masked_ids
        single += np.bincount(ids, minlength=size)
        inside = np.ones(len(ids), bool)
        inside[rows.offsets[:-1]] = False  # the first token of an instance has no left neighbour
        right = np.flatnonzero(inside)
        np.add.at(pairs, (ids[right - 1], ids[right]), 1)
    after, before = pairs.argmax(1), pairs.argmax(0)
    held = Shards.open([str(shards / HELD_OUT)])
    rows = held.rows(np.arange(min(EVALUATED, len(held.lengths))))
    at, wanted = rows.masked_rows, rows.masked_ids
    return {
        "most_frequent_token": float(np.mean(wanted == single.argmax())),
        "from_left_neighbour": float(np.mean(after[rows.ids[at - 1]] == wanted)),
        "from_right_neighbour": float(np.mean(before[rows.ids[at + 1]] == wanted)),
        "masks": len(wanted),
    }


def downstream(data: Path, models: dict[str, Path]) -> dict[str, Any]:
    """Scores of each model after fine-tuning."""
    quality.MOST = 10**6
    found: dict[str, Any] = {}
    for task in TASKS:
        train, held = quality.rows(task, data)
        found[task] = {"metric": quality.METRIC[task], "train_rows": len(train), "rows": len(held)}
        for name, folder in models.items():
            quality.MODEL = str(folder)
            scores = []
            for seed in SEEDS:
                log = LOGS / f"{task}-{name}-{seed}.log"
                scores.append(quality.ours(task, train, held, seed, log))
                print(f"{task} {name} seed {seed}: {scores[-1]:.4f}", flush=True)
            found[task][name] = {
                "mean": statistics.mean(scores), "deviation": statistics.stdev(scores),
                "scores": scores,
            }  # fmt: skip
    return found


def scratch(data: Path, folder: Path) -> dict[str, Any]:
    """A small BERT from text alone."""
    shards, run, random = folder / "shards", folder / "scratch", folder / "random"
    text = [str(data / "pretrain" / name) for name in ("en_novels.txt.xz", "en_wiki_squad.txt.xz")]
    result: dict[str, Any] = {"flags": " ".join(SCRATCH)}
    if not (shards / "summary.json").exists():
        script(
            "create_pretraining_data", "scratch-data", "--input_file", *text, "--output_dir",
            str(shards), "--train_vocab", "8000", "--dupe_factor", "5", *CREATE,
        )  # fmt: skip
    result["data"] = files.read_json(shards / "summary.json")
    result["seconds"] = pretrain(shards, run, "scratch", SCRATCH)
    result["held_out"] = files.read_json(run / "eval_results.json")["eval"]
    result["counts"] = neighbours(shards, 8000)
    print(result["held_out"], result["counts"], flush=True)
    pretrain(shards, random, "random", (*SCRATCH, "--lr", "0", "--num_steps", "1"))
    result["downstream"] = downstream(data, {"pretrained": run / "last", "random": random / "last"})
    return result


def adapt(data: Path, folder: Path) -> dict[str, Any]:
    """A published model on the novels."""
    shards, run, before = folder / "novels", folder / "adapted", folder / "before"
    if not (shards / "summary.json").exists():
        script(
            "create_pretraining_data", "adapt-data", "--input_file",
            str(data / "pretrain" / "en_novels.txt.xz"), "--output_dir", str(shards),
            "--model_dir", "all-MiniLM-L6-v2", *CREATE,
        )  # fmt: skip
    result: dict[str, Any] = {"flags": " ".join(ADAPT)}
    pretrain(shards, before, "adapt-before", (*ADAPT, "--lr", "0", "--num_steps", "1"))
    result["before"] = files.read_json(before / "eval_results.json")["eval"]
    result["seconds"] = pretrain(shards, run, "adapt", ADAPT)
    result["after"] = files.read_json(run / "eval_results.json")["eval"]
    print(result, flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--folder", type=Path, required=True, help="folder for the runs")
    args = parser.parse_args()
    found = PARTS[args.part](args.data, args.folder)
    report.save(f"pretraining_{args.part}", {"versions": report.versions(), **found})


PARTS = {"scratch": scratch, "adapt": adapt}

if __name__ == "__main__":
    main()
