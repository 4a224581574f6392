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
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plainbert.cli.run import run as run_script
from plainbert.recipes.shared import flags

if TYPE_CHECKING:
    from plainbert.tasks.classification.task import Task


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    flags.add(
        parser,
        task_name=None,
        data_dir=None,
        train_file=None,
        dev_file=None,
        test_file=None,
        text_columns=None,
        label_column="label",
        regression=False,
        max_len=128,
        metric=None,
        pad=False,
    )
    flags.add_training(parser)
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
    from plainbert.model_zoo import labels_of
    from plainbert.recipes.shared.models import name_of
    from plainbert.tasks.classification.find import find
    from plainbert.tasks.classification.table import REGRESSION, TableTask

    if args.task_name is not None:
        return find(args.task_name, args.data_dir)
    # Without training rows the labels are the model's.
    labels = labels_of(name_of(args)) if args.train_file is None else None
    return TableTask(
        args.train_file,
        args.dev_file,
        args.test_file,
        args.text_columns,
        args.label_column,
        labels=REGRESSION if args.regression else labels,
    )


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    args = parse_args(argv)

    from plainbert.recipes.shared.finetuning import session
    from plainbert.tasks.classification import evaluate
    from plainbert.tasks.classification.evaluate import Predictions

    task = find_task(args)
    head = "classification" if task.labels else "regression"
    names = tuple(dict.fromkeys([*([args.metric] if args.metric else []), *task.metrics]))
    with session(args, __file__, argv) as run:
        opened = run.open(head, task.labels)
        model, max_len = opened.headed, run.max_len(opened.headed)

        def load(split: str, limit: int | None = args.max_eval_samples) -> evaluate.Data:
            return evaluate.load(
                task, split, opened.headed, opened.tokenizer, max_len, limit, args.num_workers
            )

        data = {split: load(split) for split in task.dev_splits}
        if run.trains:
            dev = {split: part.features for split, part in data.items()}
            model, chosen = run.train(
                opened,
                load("train", args.max_train_samples).features,
                Predictions(dev, names, run.ready.dtype, run.ranks) if dev else None,
                about={"task": task.name, "max_length": max_len},
                labels=task.labels,
            )
        data |= {split: load(split) for split in task.test_splits if task.has(split)}
        scores = evaluate.judge(model, task, data, run.ready.dtype, run.folder, names, run.sharing)
        if run.first:
            for split, found in scores.items():
                shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
                print(f"{split}: {shown}")
            if run.trains:
                run.next(chosen, "predict_classifier.py", "--sentences ...")
    return scores


if __name__ == "__main__":
    run_script(main)
