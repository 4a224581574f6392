r"""Answer questions with a model that finetune_squad.py trained.

    python scripts/bert/predict_squad.py --model_dir runs/squad/best \
        --question "Who wrote it?" "When?" --context "It was written by Ada in 1843."

    python scripts/bert/predict_squad.py --model_dir runs/squad/best --file dev.json \
        --output answers.jsonl

    python scripts/bert/predict_squad.py --model_dir runs/squad/best --file dev.json \
        --output_dir runs/answers

A context may be of any length. Every question gets one answer, an exact part of its context, or
nothing where the model was trained to say so (--null_score_diff_threshold; the best one of the
training when not given). Without --output the answers are printed, and with --n_best_size N the N
best, with probabilities and characters (from, to). A name in .json gets {id: answer}, .jsonl all
that is known about each question; --output_dir gets the files that finetune_squad.py writes. If
the file has right answers, the scores are printed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from plainbert.cli.run import run
from plainbert.recipes.shared import squad_flags


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return squad_flags.parse_predicting(squad_flags.predicting(__doc__), argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    from plainbert.model import load
    from plainbert.recipes.shared import squad
    from plainbert.recipes.shared.ranks import deal, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.squad import evaluate, predict, result_files
    from plainbert.tasks.squad.data import Question
    from plainbert.tasks.squad.decode import Answer

    with join(args, __file__, argv) as group:
        ready = start(args, new_run=False, group=group)
        asked = squad.told(group, lambda: squad.asked(args))
        asked.report()
        model = load(
            args.model_dir,
            dtype=ready.precision,
            device=ready.device,
            lower=args.do_lower_case,
            dataset_name=args.bert_dataset,
        )
        about = model.checkpoint.about
        limits = predict.limits_of(
            about,
            model.max_len,
            max_len=args.max_len,
            doc_stride=args.doc_stride,
            max_query_length=args.max_query_length,
        )
        search = predict.search_of(
            about,
            n_best=args.n_best_size,
            max_answer_length=args.max_answer_length,
            null=args.version_2 or None,
            null_threshold=args.null_score_diff_threshold,
        )

        def work(part: list[Question]) -> list[Any]:
            found = predict.ask(
                model.model,
                model.tokenizer,
                part,
                limits,
                search,
                device=model.device,
                num_workers=args.num_workers,
                bar=group.rank == 0,
            )
            return [dataclasses.asdict(each) for each in found]

        found = [Answer.of(each) for each in deal(group, asked.questions, work)]
    scores: dict[str, float] = {}
    if group.rank == 0:
        scoring = evaluate.scoring_of(asked, args.scoring)
        scores = evaluate.score(asked, found, search, scoring)
        if args.output is not None:
            result_files.write_file(args.output, asked.questions, found)
        elif ready.folder is not None:
            result_files.write_folder(ready.folder, found)
        else:
            print(result_files.table(asked.questions, found, args.n_best_size), end="")
        if scores:
            print(", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    return {"answers": found, "scores": scores}


if __name__ == "__main__":
    run(main)
