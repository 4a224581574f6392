r"""Fine-tune BERT to classify texts or pairs of texts, or to give them a number.

Your own rows (.tsv, .csv or .jsonl with a header):

    python scripts/bert/finetune_classifier.py --model_dir all-MiniLM-L6-v2 \
        --train_file train.tsv --dev_file dev.tsv --text_columns text --label_column label

A published task, from $GLUE_DIR/MRPC, ./glue_data/MRPC or the datasets library:

    python scripts/bert/finetune_classifier.py --task_name MRPC --batch_size 32 --epochs 3 --lr 2e-5

A task class of your own; a run that was interrupted; scores of a trained model:

    python scripts/bert/finetune_classifier.py --task_name my.py:MyTask --output_dir runs/mine
    python scripts/bert/finetune_classifier.py --task_name my.py:MyTask --output_dir runs/mine \
        --resume
    python scripts/bert/finetune_classifier.py --task_name RTE --model_parameters runs/rte/best \
        --only_inference --output_dir runs/rte

Writes into --output_dir: best and last (model folders), eval_results.json, metrics.jsonl, log.txt
and, for every test split, the file that GLUE takes. Next: scripts/bert/predict_classifier.py.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plainbert.cli import flags
from plainbert.cli.run import run

if TYPE_CHECKING:
    from plainbert.tasks.task import Task


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    flags.add(
        parser, task_name=None, data_dir=None, train_file=None, dev_file=None, test_file=None,
        text_columns=None, label_column="label", regression=False, max_train_samples=None,
        max_eval_samples=None, max_len=128, num_workers=0,
    )  # fmt: skip
    flags.add(
        parser, model_dir=None, bert_model="bert_12_768_12",
        bert_dataset="book_corpus_wiki_en_uncased", pretrained_bert_parameters=None,
        model_parameters=None, do_lower_case=None,
    )  # fmt: skip
    flags.add(
        parser, epochs=3, training_steps=None, batch_size=32, dev_batch_size=None, accumulate=1,
        optimizer="bertadam", lr=5e-5, epsilon=1e-6, weight_decay=0.01, max_grad_norm=1.0,
        schedule="linear", warmup_ratio=0.1, end_lr=0.0, schedule_power=1.0, schedule_cycles=None,
        dropout=None, attention_dropout=None, eval_steps=None, early_stop=None, metric=None,
        only_inference=False, pad=False, round_to=None,
    )  # fmt: skip
    flags.add_run(parser, output_dir="./output_dir", seed=2)
    flags.add_device(parser, dtype="auto")
    flags.refuse_quantization(parser)
    args = flags.parse(parser, argv)
    files = ("train_file", "dev_file", "test_file")
    if args.task_name is None and not any(name in args.given for name in files):
        parser.error("nothing to learn: give --task_name, or --train_file and --dev_file.")
    for name in files:
        parser.exclusive(args, "task_name", name)
    if not args.only_inference and args.task_name is None and args.train_file is None:
        parser.error("--train_file is missing; --only_inference evaluates without training.")
    parser.needs(args, "regression", *files)
    return args


def find_task(args: argparse.Namespace) -> Task:
    """The task that the flags describe."""
    from plainbert.cli.models import name_of
    from plainbert.model_zoo import labels_of
    from plainbert.tasks.find import find
    from plainbert.tasks.table import REGRESSION, TableTask

    if args.task_name is not None:
        return find(args.task_name, args.data_dir)
    # Without training rows the labels are the model's.
    labels = labels_of(name_of(args)) if args.train_file is None else None
    return TableTask(
        args.train_file, args.dev_file, args.test_file, args.text_columns, args.label_column,
        labels=REGRESSION if args.regression else labels,
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    args = parse_args(argv)

    from plainbert import model_zoo
    from plainbert.batching.batch import Examples
    from plainbert.cli.models import name_of, open_model
    from plainbert.cli.start import start
    from plainbert.train import classification
    from plainbert.train.evaluate import Predictions
    from plainbert.train.loop import fit
    from plainbert.train.settings import Settings

    task = find_task(args)
    ready = start(args, new_run=not args.only_inference)
    assert ready.folder is not None
    head = "classification" if task.labels else "regression"
    opened = open_model(args, head, task.labels, trained=args.only_inference)
    model, tokenizer = opened.headed.to(ready.device), opened.tokenizer
    max_len = args.max_len
    if "max_len" not in args.given:  # the default fits most models, not all
        max_len = min(max_len, model.config.max_position_embeddings)
    names = tuple(dict.fromkeys([*([args.metric] if args.metric else []), *task.metrics]))

    def load(split: str, limit: int | None) -> classification.Data:
        return classification.load(task, split, model, tokenizer, max_len, limit, args.num_workers)

    data = {split: load(split, args.max_eval_samples) for split in task.dev_splits}
    if not args.only_inference:
        fields = [field.name for field in dataclasses.fields(Settings) if hasattr(args, field.name)]
        values = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
        dev = {split: part.features for split, part in data.items()}
        result = fit(
            model, tokenizer, Examples(load("train", args.max_train_samples).features),
            Settings(**{**values, "dtype": ready.dtype}),
            evaluation=Predictions(dev, names, ready.dtype) if dev else None,
            folder=ready.folder, resume=args.resume,
            about={"task": task.name, "max_length": max_len, "base": name_of(args)},
        )  # fmt: skip
        chosen = ready.folder / ("best" if result.best is not None else "last")
        ready.log.info(
            "the %s checkpoint is of step %d", chosen.name, result.best_step or result.steps
        )
        model = model_zoo.open_folder(chosen, head, task.labels).headed.to(ready.device)
    data |= {
        split: load(split, args.max_eval_samples) for split in task.test_splits if task.has(split)
    }
    scores = classification.judge(model, task, data, ready.device, ready.dtype, ready.folder, names)
    for split, found in scores.items():
        print(f"{split}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    if not args.only_inference:
        print(f"model: {chosen}")
        print(
            f"next: python scripts/bert/predict_classifier.py --model_dir {chosen} --sentences ..."
        )
    return scores


if __name__ == "__main__":
    run(main)
