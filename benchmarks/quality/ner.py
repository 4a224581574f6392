"""Entities after fine-tuning: ours against the ``run_ner`` recipe of ``transformers``.

    python -m benchmarks.quality.ner wnut17 wikigold ncbi_disease --data DATA
    python -m benchmarks.quality.ner punctuation --data DATA --folder runs/punctuation
    python -m benchmarks.quality.ner rates --data DATA

DATA holds ``ner_wnut17/``, ``ner_wikigold/``, ``ner_ncbi_disease/`` and
``pretrain/en_novels.txt.xz``. Both sides start from all-MiniLM-L6-v2, get the same sentences and
take 4 epochs, batches of 16 sentences, AdamW (epsilon apart: each its default), linear decay after
10 % warm-up, dropout 0.1, bfloat16 matrix products, 180 tokens. The peer is in ``peers/ner.py``;
ours is ``finetune_ner.py`` with its other defaults. The model after the last epoch counts: no side
picks its best. Both sides' predictions are scored by seqeval.

Of our sides, "ours" learns IOB2 tags, as the peer does and as is the default; "bioes" (only where
--sides names it) those of GluonNLP's script. The rates were found with the latter.

WNUT-17 and NCBI disease have published splits. WikiGold is cut by document, shuffled with seed 17:
100 for training, 15 for dev, the rest for test. Its tags are IOB1; the peer is given them as IOB2,
ours reads the file.

rates: learning rates, one seed, scored on the dev sets, which no other part uses.

Seconds are kept, but do not compare speeds: the peer's freed memory is kept for its next step, as
ours does by itself, and other work may share the machine.

punctuation: the recipe of ``create_punctuation_data.py`` on the novels, one epoch over all rows,
by our scripts alone. Results are in ``results/quality/ner.json``, logs in
``results/quality/ner``; what is there is not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import opened
from benchmarks.peers import ner as ner_peer
from benchmarks.quality.runs import RESULTS, Results, Scores, script
from plainbert import files
from plainbert.tasks.ner import conll
from plainbert.tasks.ner.conll import Sentence
from plainbert.tasks.ner.tags import convert
from plainbert.train.memory import keep_freed

EPOCHS, BATCH, RATE, LENGTH = 4, 16, 2e-4, 180
RATES = (1e-4, 2e-4, 4e-4)
PUBLISHED = {
    "wnut17": ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
    "ncbi_disease": ("train.txt", "dev.txt", "test.txt"),
}
WIKIGOLD, SEED, DOCUMENTS = "wikigold", 17, (100, 15)  # documents of train and dev
SETS = (*PUBLISHED, WIKIGOLD)


@dataclass(frozen=True)
class Job:
    """What is trained on and what is scored.

    Attributes:
        model: both sides start from it.
        train: a file.
        test: a file.
        limit: sentences of each, the first ones; None: all.
        threads: of torch.
    """

    model: str
    train: Path
    test: Path
    limit: int | None = None
    threads: int = 2

    def sentences(self, path: Path) -> list[Sentence]:
        """Those that count."""
        return conll.read(path).sentences[: self.limit]


def files_of(name: str, data: Path, folder: Path) -> dict[str, Path]:
    """The files of a set by split; WikiGold's are written to a folder."""
    if name in PUBLISHED:
        names = zip(("train", "dev", "test"), PUBLISHED[name], strict=True)
        return {split: data / f"ner_{name}" / each for split, each in names}
    lines = (data / "ner_wikigold" / "wikigold.conll.txt").read_text(encoding="utf-8").split("\n")
    documents: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("-DOCSTART-"):
            documents.append([])
        else:
            documents[-1].append(line)
    documents = [each for each in documents if any(line.strip() for line in each)]
    random.Random(SEED).shuffle(documents)
    cuts = [0, *itertools.accumulate(DOCUMENTS), len(documents)]
    found = {split: folder / f"wikigold-{split}.conll" for split in ("train", "dev", "test")}
    for path, (start, stop) in zip(found.values(), itertools.pairwise(cuts), strict=True):
        text = "\n\n".join("\n".join(each) for each in documents[start:stop])
        files.write_text(path, text + "\n")
    return found


def score(gold: Sequence[Sentence], predicted: Sequence[Sequence[str]]) -> Scores:
    """Entity F1, precision and recall, as seqeval has them."""
    from seqeval.metrics import f1_score, precision_score, recall_score

    right = [convert(each.tags or (), "iob2") for each in gold]
    said = [list(each) for each in predicted]
    return {
        "f1": 100 * float(f1_score(right, said)),
        "precision": 100 * float(precision_score(right, said)),
        "recall": 100 * float(recall_score(right, said)),
    }


def ours(job: Job, seed: int, lr: float, log: Path, scheme: str = "iob2") -> Scores:
    """Fine-tune and tag with our script."""
    limit = (
        []
        if job.limit is None
        else ["--max_train_samples", job.limit, "--max_eval_samples", job.limit]
    )
    with tempfile.TemporaryDirectory() as name:
        script(
            log,
            "finetune_ner",
            "--model_dir",
            job.model,
            "--train-path",
            job.train,
            "--test-path",
            job.test,
            "--output_dir",
            name,
            "--optimizer",
            "adamw",
            "--learning-rate",
            lr,
            "--epochs",
            EPOCHS,
            "--batch-size",
            BATCH,
            "--seq-len",
            LENGTH,
            "--dtype",
            "bfloat16",
            "--threads",
            job.threads,
            "--seed",
            seed,
            "--tag_scheme",
            scheme,
            *limit,
        )
        said = conll.read(Path(name) / "test_predictions.conll").sentences
    return score(job.sentences(job.test), [each.tags or () for each in said])


def peer(job: Job, seed: int, lr: float, log: Path) -> Scores:
    """Fine-tune and tag as ``run_ner`` does."""
    import torch

    torch.set_num_threads(job.threads)
    keep_freed()
    train, test = job.sentences(job.train), job.sentences(job.test)
    tags = [convert(each.tags or (), "iob2") for each in train]
    labels = sorted({tag for each in tags for tag in each})
    recipe = ner_peer.Recipe(BATCH, lr, EPOCHS, length=LENGTH, seed=seed)
    net, tokenizer = ner_peer.open_peer(job.model, labels, seed)
    rows = ner_peer.features(tokenizer, [each.words for each in train], LENGTH)
    ner_peer.label(rows, tags, {tag: row for row, tag in enumerate(labels)})
    ner_peer.train(net, rows, recipe, log)
    words = [each.words for each in test]
    said, missing = ner_peer.predict(net, tokenizer, words, recipe, labels)
    found = {**score(test, said), "words_not_tagged": missing}
    with opened(log) as file:
        print(json.dumps(found), file=file)
    return found


def punctuation(args: argparse.Namespace, log: Path) -> Scores:
    """Make the rows of the novels, train on them, score the test rows."""
    rows, run = args.folder / "rows", args.folder / "run"
    text = args.data / "pretrain" / "en_novels.txt.xz"
    script(
        log, "create_punctuation_data", "--input_file", text, "--output_dir", rows, "--overwrite"
    )
    few = (
        []
        if args.limit is None
        else ["--max_train_samples", args.limit, "--max_eval_samples", args.limit]
    )
    script(
        log,
        "finetune_ner",
        "--model_dir",
        args.model,
        "--train-path",
        rows / "train.tsv",
        "--dev-path",
        rows / "dev.tsv",
        "--test-path",
        rows / "test.tsv",
        "--output_dir",
        run,
        "--optimizer",
        "adamw",
        "--learning-rate",
        args.lr,
        "--epochs",
        1,
        "--batch-size",
        BATCH,
        "--seq-len",
        LENGTH,
        "--dtype",
        "bfloat16",
        "--threads",
        args.threads,
        "--seed",
        args.seeds[0],
        "--overwrite",
        *few,
    )
    found = files.read_json(run / "eval_results.json")["test"]
    by_label = files.read_json(run / "measure.json")["test"]
    return {**{name: 100 * value for name, value in found.items()}, "by_label": by_label}


SIDES: dict[str, Callable[..., Scores]] = {
    "ours": ours, "bioes": partial(ours, scheme="bioes"), "peer": peer
}  # fmt: skip
PARTS = (*SETS, "punctuation", "rates")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/punctuation"), help="of that part"
    )
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="both sides start from it")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["ours", "peer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--lr", type=float, default=RATE, help=f"learning rate ({RATE:g})")
    parser.add_argument("--threads", type=int, default=2, help="of torch (2)")
    parser.add_argument("--limit", type=int, help="so many sentences of each set, for a trial")
    parser.add_argument("--out", type=Path, help="folder for results and logs (results/quality)")
    args = parser.parse_args(argv)
    out: Path = args.out or RESULTS
    logs = out / "ner"
    results = Results(out / "ner.json", "transformers", "seqeval")
    settings = {"model": args.model, "batch_size": BATCH, "epochs": EPOCHS, "limit": args.limit}
    with tempfile.TemporaryDirectory() as name:
        for part in args.parts:
            if part == "punctuation":
                seed = args.seeds[0]
                log = logs / f"punctuation-{seed}.log"
                work = partial(punctuation, args, log)
                results.run(part, "ours", seed, {**settings, "epochs": 1, "lr": args.lr}, work)
                continue
            compare(args, part, Path(name), results, settings, logs)


def compare(
    args: argparse.Namespace,
    part: str,
    folder: Path,
    results: Results,
    settings: Scores,
    logs: Path,
) -> None:
    """All runs of both sides on a set, or of all rates on all sets."""
    tries = part == "rates"
    for name in SETS if tries else [part]:
        found = files_of(name, args.data, folder)
        job = Job(
            args.model, found["train"], found["dev" if tries else "test"], args.limit, args.threads
        )
        parts = {"train_sentences": job.train, "sentences": job.test}
        sizes = {key: len(job.sentences(path)) for key, path in parts.items()}
        fixed = {**settings, **sizes, **({} if tries else {"lr": args.lr})}
        seeds, rates = (args.seeds[:1], RATES) if tries else (args.seeds, [args.lr])
        for seed, side, lr in itertools.product(seeds, args.sides, rates):
            label = f"{side} {lr:g}" if tries else side
            log = logs / f"{part}-{name}-{label.replace(' ', '-')}-{seed}.log"
            work = partial(SIDES[side], job, seed, lr, log)
            results.run(f"rates {name}" if tries else name, label, seed, fixed, work)


if __name__ == "__main__":
    main()
