r"""Predict with a fine-tuned classifier: a label and the probability of every label, per row.

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best \
        --sentences "Are we still on for lunch?" "You have WON a prize, call now"

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best --file texts.txt \
        --output predictions.tsv

    cat rows.tsv | python scripts/bert/predict_classifier.py --model_dir runs/mrpc/best --file - \
        --text_columns 0,1 --output predictions.jsonl

A line of --file is a text, "first ||| second" a pair; with --text_columns, or for a .tsv, .csv or
.jsonl file, the texts are in columns. Every row gets an answer, in the order of the input. Without
--output the table is printed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert.cli.run import run
from plainbert.recipes.shared import flags, texts

FORMS = (".tsv", ".jsonl")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    flags.add(parser, model_dir=flags.REQUIRED, bert_dataset=None, labels=None, do_lower_case=None)
    flags.add(parser, file=None, sentences=None, text_columns=None, max_len=None)
    flags.add(parser, output=None, overwrite=False, verbose=False)
    flags.add_device(parser, dtype="float32")
    flags.add_processes(parser)
    args = flags.parse(parser, argv)
    texts.check(parser, args, FORMS)
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    from plainbert import files
    from plainbert.containers.tables import table
    from plainbert.model import load
    from plainbert.recipes.shared.ranks import deal, join, shared
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.classification.decode import Prediction

    with join(args, __file__, argv) as group:
        rows = [tuple(row) for row in shared(group, lambda: texts.read(args))]
        ready = start(args, group=group)
        model = load(
            args.model_dir,
            dtype=ready.precision,
            device=ready.device,
            lower=args.do_lower_case,
            labels=args.labels,
            dataset_name=args.bert_dataset,
        )

        def predict(part: list[tuple[str, ...]]) -> list[Any]:
            found = model.predict(part, max_len=args.max_len, bar=group.rank == 0)
            return [dataclasses.asdict(each) for each in found]

        answers = [Prediction(**each) for each in deal(group, rows, predict)]
    if group.rank == 0:
        found = [
            {"text": texts.join(row), "label": answer.label}
            | {f"p({label})": share for label, share in answer.probabilities.items()}
            for row, answer in zip(rows, answers, strict=True)
        ]
        if args.output is None:
            print(table(found, ".tsv"), end="")
        else:
            files.write_text(args.output, table(found, Path(args.output).suffix))
            ready.log.info("%d predictions in %s", len(found), args.output)
    return {"predictions": answers}


if __name__ == "__main__":
    run(main)
