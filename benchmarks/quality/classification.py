"""Scores after fine-tuning: ours against the ``run_glue`` recipe of ``transformers``.

    python -m benchmarks.quality.classification --data DATA
    python -m benchmarks.quality.classification --data DATA --tasks pawsx --seeds 1

DATA holds ``stsb_ccbysa_subset/{train,dev}.tsv``, ``qnli/dev.tsv`` (GLUE layouts) and
``pawsx/dev-en.tsv``. Both sides start from all-MiniLM-L6-v2 and see the same rows: 3 epochs,
batches of 16, AdamW, learning rate 1e-4 (small models take more than BERT-base), 128 tokens. The
peer is ``transformers.Trainer`` with its other defaults (linear decay, float32), as ``run_glue``
uses it, padded to the longest of a batch. Ours is ``finetune_classifier.py`` with its other
defaults. What counts is the score after the last epoch; no side picks its best epoch.

Splits: STS-B trains on the subset's train.tsv and scores on its dev.tsv (Pearson). QNLI and PAWS-X
have one public file each: every fifth row (index 4, 9, ...) is for scoring; of the others the
first 1,600 are for training.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.quality.runs import script
from plainbert import files, model_zoo

MODEL = "all-MiniLM-L6-v2"
EPOCHS, BATCH, RATE, LENGTH = 3, 16, 1e-4, 128
MOST = 1600  # training rows
METRIC = {"stsb": "pearson", "qnli": "accuracy", "pawsx": "accuracy"}
Row = tuple[str, str, str]


def rows(task: str, data: Path) -> tuple[list[Row], list[Row]]:
    """Training rows and scoring rows of a task, each (text, text, label)."""
    if task == "stsb":
        folder = data / "stsb_ccbysa_subset"
        return (
            _table(folder / "train.tsv", "sentence1", "sentence2", "score"),
            _table(folder / "dev.tsv", "sentence1", "sentence2", "score"),
        )
    if task == "qnli":
        every = _table(data / "qnli" / "dev.tsv", "question", "sentence", "label")
    else:
        lines = (data / "pawsx" / "dev-en.tsv").read_text(encoding="utf-8").splitlines()
        parts = [line.split("\t") for line in lines if line]
        every = [(a, b, label) for a, b, label in parts if label in ("0", "1")]
    held = [row for index, row in enumerate(every) if index % 5 == 4]
    return [row for index, row in enumerate(every) if index % 5 != 4][:MOST], held


def _table(path: Path, *columns: str) -> list[Row]:
    """Three columns of a GLUE table: tab-separated, never quoted."""
    with path.open(encoding="utf-8", newline="\n") as file:
        found = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [tuple(row[name].rstrip("\r") for name in columns) for row in found]  # type: ignore[misc]


def ours(task: str, train: list[Row], held: list[Row], seed: int, log: Path) -> float:
    """Fine-tune with our script; the score on the scoring rows after the last epoch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, part in (("train", train), ("dev", held)):
            lines = ["a\tb\tlabel", *("\t".join(row) for row in part)]
            (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        log.unlink(missing_ok=True)
        script(
            log,
            "finetune_classifier",
            "--model_dir",
            MODEL,
            "--train_file",
            folder / "train.tsv",
            "--dev_file",
            folder / "dev.tsv",
            "--text_columns",
            "a,b",
            "--label_column",
            "label",
            *(["--regression"] if METRIC[task] == "pearson" else []),
            "--optimizer",
            "adamw",
            "--epochs",
            EPOCHS,
            "--batch_size",
            BATCH,
            "--lr",
            RATE,
            "--max_len",
            LENGTH,
            "--seed",
            seed,
            "--output_dir",
            folder / "run",
        )
        lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        key = f"dev/{METRIC[task]}"
        return [float(each[key]) for each in records if key in each][-1]


def peer(task: str, train: list[Row], held: list[Row], seed: int, log: Path) -> float:
    """Fine-tune as ``run_glue`` does; the same score."""
    import numpy as np
    import transformers
    from scipy.stats import pearsonr

    regression = METRIC[task] == "pearson"
    labels = sorted({row[2] for row in train})
    path = str(model_zoo.resolve(MODEL))
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    transformers.set_seed(seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        path, num_labels=1 if regression else len(labels)
    )

    def featurize(part: list[Row]) -> list[dict[str, Any]]:
        first, second, wanted = zip(*part, strict=True)
        coded = tokenizer(list(first), list(second), truncation=True, max_length=LENGTH)
        values = [float(one) if regression else labels.index(one) for one in wanted]
        return [
            {**{key: coded[key][row] for key in coded}, "labels": value}
            for row, value in enumerate(values)
        ]

    def score(prediction: Any) -> dict[str, float]:
        logits, wanted = prediction
        if regression:
            return {"pearson": float(pearsonr(logits[:, 0], wanted)[0])}
        return {"accuracy": float(np.mean(logits.argmax(1) == wanted))}

    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64,
            num_train_epochs=EPOCHS,
            learning_rate=RATE,
            seed=seed,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = transformers.Trainer(
            model,
            settings,
            train_dataset=featurize(train),
            eval_dataset=featurize(held),
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
            compute_metrics=score,
        )
        trainer.train()
        trainer.evaluate()
    log.write_text("\n".join(map(json.dumps, trainer.state.log_history)) + "\n", encoding="utf-8")
    scores = [record for record in trainer.state.log_history if f"eval_{METRIC[task]}" in record]
    return float(scores[-1][f"eval_{METRIC[task]}"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the three data sets")
    parser.add_argument("--tasks", nargs="+", choices=METRIC, default=list(METRIC))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    args = parser.parse_args()
    logs = measure.RESULTS / "quality" / "classification"
    logs.mkdir(exist_ok=True)
    for task in args.tasks:
        train, held = rows(task, args.data)
        for side in args.sides:
            for seed in args.seeds:
                score = SIDES[side](task, train, held, seed, logs / f"{task}-{side}-{seed}.log")
                print(f"{task} {side} seed {seed}: {score:.4f}", flush=True)
                _record(task, side, seed, score, {"train_rows": len(train), "rows": len(held)})


SIDES = {"ours": ours, "peer": peer}


def _record(task: str, side: str, seed: int, score: float, size: dict[str, int]) -> None:
    """Put one score beside those that are there, with their mean and deviation."""
    path = measure.RESULTS / "quality" / "classification.json"
    result = files.read_json(path) if path.exists() else {}
    result |= {"versions": measure.versions("transformers"), "model": MODEL}
    entry = result.setdefault(task, {"metric": METRIC[task], **size})
    by_seed = entry.setdefault(side, {}).get("scores", {}) | {str(seed): score}
    values = list(by_seed.values())
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    entry[side] = {"mean": statistics.mean(values), "deviation": spread, "scores": by_seed}
    result.pop("machine", None)
    measure.save("quality/classification", result)


if __name__ == "__main__":
    main()
