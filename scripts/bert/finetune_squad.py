r"""Fine-tune BERT to find the answers to questions in texts: SQuAD 1.1, 2.0, and files like them.

Your own questions, in SQuAD's JSON:

    python scripts/bert/finetune_squad.py --model_dir all-MiniLM-L6-v2 \
        --train_file train.json --predict_file dev.json --epochs 2 --lr 3e-5

SQuAD itself, from $SQUAD_DIR, ./squad, ~/.mxnet/datasets/squad or the datasets library:

    python scripts/bert/finetune_squad.py --optimizer adam --batch_size 12 --lr 3e-5 --epochs 2

SQuAD 2.0, where a question may have no answer; scores and answers of a trained model:

    python scripts/bert/finetune_squad.py --version_2 --accumulate 2 --batch_size 6 --lr 3e-5
    python scripts/bert/finetune_squad.py --only_predict --model_parameters runs/squad/best \
        --predict_file dev.json --output_dir runs/again

Writes into --output_dir: best and last (model folders), predictions.json, nbest_predictions.json
(with --version_2 also null_odds.json and na_probs.json), eval_results.json, metrics.jsonl and
log.txt. --predict_file is answered at the end; --dev_file, or that file if it has the right
answers, chooses the best model and the threshold of SQuAD 2.0. Next: scripts/bert/predict_squad.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from plainbert.cli.run import run as run_script
from plainbert.recipes.shared import squad_flags


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    return squad_flags.parse_training(squad_flags.training(__doc__), argv)


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    args = parse_args(argv)

    from plainbert.batching.features import check_positions
    from plainbert.recipes.shared import squad
    from plainbert.recipes.shared.finetuning import session
    from plainbert.tasks.squad import cache, evaluate
    from plainbert.tasks.squad.data import Question
    from plainbert.tasks.squad.decode import Search
    from plainbert.tasks.squad.predict import THRESHOLD
    from plainbert.tasks.squad.windows import Windows

    # Before the run folder is touched: a file that cannot be used must not leave one behind.
    train = None if args.only_inference else squad.training_set(args)
    sets = squad.sets_to_answer(args)
    with session(args, __file__, argv) as run:
        for each in (train, *sets.values()):
            if each is not None:
                each.report()
        if args.sentencepiece is not None:
            squad.start_untrained(args, run)
        opened = run.open("question_answering")
        model, typed = opened.headed, THRESHOLD in args.given
        limits = squad.limits_of(args, run.max_len(model))
        check_positions(limits.max_len, model.config.max_position_embeddings)
        threshold = args.null_score_diff_threshold
        if not run.trains and not typed:
            threshold = opened.checkpoint.about.get(THRESHOLD, threshold)
        search = Search(args.n_best_size, args.max_answer_length, args.version_2, threshold)

        def cut(name: str, questions: list[Question], labelled: bool = False) -> Windows:
            made = cache.windows(
                args.cache_dir or run.folder / "cache",
                opened.tokenizer,
                questions,
                limits,
                labelled,
                args.num_workers,
                run.first,
                run.group,
            )
            if run.first:
                made.report(name)
            return made

        asked = {
            split: evaluate.SquadSplit.of(each, cut(split, each.questions), args.scoring)
            for split, each in sets.items()
        }
        chooses = {
            split: each for split, each in asked.items()
            if split == "dev" and each.scored(args.version_2)
        }  # fmt: skip
        if train is not None:
            model, chosen = run.train(
                opened,
                cut("train", train.trainable(args.version_2), labelled=True).features,
                evaluate.SquadEvaluation(chooses, search, run.ready.dtype, run.ranks)
                if chooses
                else None,
                about={
                    "task": "squad",
                    "max_length": limits.max_len,
                    "doc_stride": limits.doc_stride,
                    "max_query_length": limits.max_query_length,
                    "version_2": args.version_2,
                },
            )
        scores = evaluate.evaluate_splits(
            model,
            asked,
            search,
            run.ready.dtype,
            run.folder,
            tune=run.trains and not typed,
            ranks=run.sharing,
        )
        if run.first:
            for split, found in scores.items():
                print(f"{split}: " + ", ".join(f"{key} {each:.4f}" for key, each in found.items()))
            if run.trains:
                if args.version_2:
                    best = scores.get("dev", {}).get("best_f1_thresh", threshold)
                    evaluate.store_threshold(chosen, threshold if typed else best)
                run.next(chosen, "predict_squad.py", "--question ... --context ...")
    return scores


if __name__ == "__main__":
    run_script(main)
