"""What pre-training is worth: a small BERT from scratch, and a published one adapted to novels.

    python -m benchmarks.quality.pretraining scratch --data DATA --folder runs/recipe
    python -m benchmarks.quality.pretraining adapt --data DATA --folder runs/recipe

DATA holds ``pretrain/en_novels.txt.xz``, ``pretrain/en_wiki_squad.txt.xz`` and, for ``scratch``,
``stsb_ccbysa_subset/{train,dev}.tsv`` and ``ner_wikigold/``. The commands are those of the README;
their output goes to ``results/quality/pretraining``. What is finished is not repeated.

Every twentieth document is held out: no token of it is trained on, not even as a random next
sentence, and the vocabulary does not know it.

scratch: a vocabulary, and a model of bert_4_256_4 that learns from inputs of 32 tokens first, then
of 128. (With 128 from the start it stays for thousands of steps where it only knows how frequent
words are: attention finds a word's neighbours sooner among few.) Its accuracy on the held-out masks
stands beside that of the most frequent token, and of the token seen most often next to the left or
to the right neighbour, counted on the same training shards. Then the model and one with random
weights are fine-tuned alike (3 seeds) on STS-B (Pearson), rows as in ``classification.py``, and on
WikiGold (entity F1), as in ``ner.py``.

adapt: all-MiniLM-L6-v2, which was published without a head for masked words, goes on with the
novels. Losses before and after are of the same held-out masks.
"""

from __future__ import annotations

import argparse
import itertools
import lzma
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.quality import classification, ner
from benchmarks.quality.runs import script
from plainbert import files
from plainbert.tasks.pretraining.shards import Shards

LOGS = measure.RESULTS / "quality" / "pretraining"
EVALUATED, EVERY = 4000, 20
SHORT = ("--max_seq_length", "32", "--max_predictions_per_seq", "5", "--dupe_factor", "2")
LONG = ("--max_seq_length", "128", "--max_predictions_per_seq", "20", "--dupe_factor", "2")
MODEL = (
    "--model", "bert_4_256_4", "--batch_size", "4096", "--use_avg_len", "--optimizer", "adamw",
    "--dropout", "0", "--attention_dropout", "0", "--log_interval", "200",
    "--ckpt_interval", "1000",
)  # fmt: skip
PHASE_1 = (
    *MODEL, "--num_steps", "3000", "--lr", "2e-3", "--warmup_ratio", "0.2", "--schedule",
    "constant",
)  # fmt: skip
PHASE_2 = (
    *MODEL, "--phase2", "--phase1_num_steps", "3000", "--num_steps", "5000", "--lr", "1e-3",
    "--warmup_ratio", "0.05", "--eval_interval", "5000",
)  # fmt: skip
ADAPT = (
    "--model_dir", "all-MiniLM-L6-v2", "--no_nsp", "--num_steps", "1000", "--batch_size", "4096",
    "--use_avg_len", "--optimizer", "adamw", "--lr", "3e-4", "--warmup_ratio", "0.1",
    "--dropout", "0", "--attention_dropout", "0", "--log_interval", "50", "--ckpt_interval", "500",
)  # fmt: skip
TASKS = ("stsb", "wikigold")
SEEDS = (1, 2, 3)


def split(sources: list[Path], folder: Path) -> tuple[Path, Path]:
    """Deal the documents out: all but each twentieth, and those."""
    paths = folder / "train.txt", folder / "held_out.txt"
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        texts = [lzma.decompress(source.read_bytes()).decode() for source in sources]
        documents = [part for text in texts for part in text.split("\n\n") if part.strip()]
        for path, chosen in zip(paths, (False, True), strict=True):
            kept = [part for row, part in enumerate(documents) if (row % EVERY == 0) == chosen]
            files.write_text(path, "\n\n".join(kept) + "\n")
    return paths


def shards_of(text: Path, folder: Path, log: str, *words: str) -> str:
    """Make shards unless they are there; their pattern."""
    if not (folder / "summary.json").exists():
        script(
            LOGS / f"{log}.log",
            "create_pretraining_data",
            "--input_file",
            text,
            "--output_dir",
            folder,
            *words,
        )
    return str(folder / "*.npz")


def pretrain(train: str, held: str, run: Path, log: str, *words: str) -> None:
    """Pre-train."""
    script(
        LOGS / f"{log}.log",
        "run_pretraining",
        "--data",
        train,
        "--data_eval",
        held,
        "--max_eval_samples",
        EVALUATED,
        "--ckpt_dir",
        run,
        *words,
    )


def neighbours(pattern: str, held_out: str, size: int) -> dict[str, float]:
    """Share of the held-out masks that a count of tokens, or of pairs of tokens, gets right.

    Args:
        pattern: of the shards to count in.
        held_out: of the shards to predict.
        size: rows of the vocabulary.
    """
    train = Shards.open([pattern])
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
    held = Shards.open([held_out])
    rows = held.rows(np.arange(min(EVALUATED, len(held.lengths))))
    at, wanted = rows.masked_rows, rows.masked_ids
    return {
        "most_frequent_token": float(np.mean(wanted == single.argmax())),
        "from_left_neighbour": float(np.mean(after[rows.ids[at - 1]] == wanted)),
        "from_right_neighbour": float(np.mean(before[rows.ids[at + 1]] == wanted)),
        "masks": len(wanted),
    }


def downstream(data: Path, folder: Path, models: dict[str, Path]) -> dict[str, Any]:
    """Scores of each model after fine-tuning; what the folder's file has is not repeated."""
    path = folder / "downstream.json"
    found: dict[str, Any] = files.read_json(path) if path.exists() else {}
    classification.MOST = 10**6
    for task, (name, model), seed in itertools.product(TASKS, models.items(), SEEDS):
        scores = found.setdefault(task, {}).setdefault(name, {})
        if str(seed) not in scores:
            log = LOGS / f"{task}-{name}-{seed}.log"
            scores[str(seed)] = fine_tuned(task, model, data, folder, seed, log)
            print(f"{task} {name} seed {seed}: {scores[str(seed)]:.4f}", flush=True)
            files.write_json(path, found)
    return {
        task: {
            name: {
                "mean": statistics.mean(scores.values()),
                "deviation": statistics.stdev(scores.values()),
                "scores": list(scores.values()),
            }
            for name, scores in each.items()
        }
        for task, each in found.items()
    }


def fine_tuned(task: str, model: Path, data: Path, folder: Path, seed: int, log: Path) -> float:
    """Pearson, accuracy or entity F1, in [0, 1]."""
    if task == "wikigold":
        paths = ner.files_of(task, data, folder)
        job = ner.Job(str(model), paths["train"], paths["test"])
        log.unlink(missing_ok=True)
        found = ner.ours(job, seed, ner.RATE, log)
        return float(found["f1"]) / 100
    train, held = classification.rows(task, data)
    classification.MODEL = str(model)
    return classification.ours(task, train, held, seed, log)


def seconds(run: Path) -> float:
    """Of all steps, as the log of a run has them."""
    return sum(map(float, re.findall(r" time=([0-9.]+),", (run / "log.txt").read_text())))


def scratch(data: Path, folder: Path) -> dict[str, Any]:
    """A small BERT from text alone."""
    sources = [data / "pretrain" / name for name in ("en_novels.txt.xz", "en_wiki_squad.txt.xz")]
    text, rest = split(sources, folder / "text")
    short, long = folder / "short", folder / "long"
    brief = shards_of(text, short, "scratch-data-32", "--train_vocab", "8000", *SHORT)
    train = shards_of(text, long, "scratch-data-128", "--vocab", str(short / "vocab.txt"), *LONG)
    held = shards_of(
        rest, folder / "held", "scratch-held-out", "--vocab", str(short / "vocab.txt"), *LONG
    )
    run, random = folder / "scratch", folder / "random"
    result: dict[str, Any] = {
        "flags": [" ".join(PHASE_1), " ".join(PHASE_2)],
        "data": [files.read_json(each / "summary.json") for each in (short, long, folder / "held")],
    }
    vocabulary = ("--vocab", str(short / "vocab.txt"))
    first, last = run / "step-0003000", run / "step-0008000"
    if not first.exists() and not last.exists():
        again = "--resume" if (run / "last").exists() else "--overwrite"
        pretrain(
            brief, held, run, "scratch-1", *PHASE_1, "--eval_interval", "3000", *vocabulary, again
        )
    if not last.exists():
        begun = (run / "last").resolve() != first.resolve()
        how = ("--resume",) if begun else ("--start_step", "3000")
        pretrain(train, held, run, "scratch-2", *PHASE_2, *vocabulary, *how)
    result["seconds"] = seconds(run)
    result["held_out"] = files.read_json(run / "eval_results.json")["eval"]
    result["counts"] = neighbours(train, held, 8000)
    print(result["held_out"], result["counts"], flush=True)
    none = (*MODEL, "--lr", "0", "--num_steps", "1", *vocabulary)
    pretrain(train, held, random, "random", *none, "--overwrite")
    models = {"pretrained": run / "last", "random": random / "last"}
    result["downstream"] = downstream(data, folder, models)
    return result


def adapt(data: Path, folder: Path) -> dict[str, Any]:
    """A published model on the novels."""
    text, rest = split([data / "pretrain" / "en_novels.txt.xz"], folder / "novels")
    run, before = folder / "adapted", folder / "before"
    model = ("--model_dir", "all-MiniLM-L6-v2")
    train = shards_of(text, folder / "novels-train", "adapt-data", *model, *LONG)
    held = shards_of(rest, folder / "novels-held", "adapt-held-out", *model, *LONG)
    result: dict[str, Any] = {"flags": " ".join(ADAPT)}
    pretrain(
        train, held, before, "adapt-before", *ADAPT, "--lr", "0", "--num_steps", "1", "--overwrite"
    )
    result["before"] = files.read_json(before / "eval_results.json")["eval"]
    again = "--resume" if (run / "last").exists() else "--overwrite"
    pretrain(train, held, run, "adapt", *ADAPT, again)
    result["seconds"] = seconds(run)
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
    measure.save(f"quality/pretraining_{args.part}", {"versions": measure.versions(), **found})


PARTS = {"scratch": scratch, "adapt": adapt}

if __name__ == "__main__":
    main()
