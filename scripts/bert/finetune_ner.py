r"""Fine-tune BERT to find entities, or to give every word of a sentence a label.

CoNLL files: a word a line, its tag in the last column, an empty line after each sentence:

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.conll \
        --dev-path dev.conll --test-path test.conll --output_dir runs/ner

Labels of any kind (parts of speech, punctuation): a sentence a line, its words between blanks, a
tab, as many labels between blanks:

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.tsv \
        --dev-path dev.tsv --output_dir runs/punctuation

A published BERT; a run that was interrupted; scores of a trained model:

    python scripts/bert/finetune_ner.py --bert-model bert_24_1024_16 --train-path train.txt \
        --dev-path dev.txt --test-path test.txt --gpu 0 --learning-rate 1e-5 --batch-size 8
    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path train.conll \
        --dev-path dev.conll --output_dir runs/ner --resume
    python scripts/bert/finetune_ner.py --model_parameters runs/ner/best --only_inference \
        --test-path test.conll --output_dir runs/ner

Tags may be IOB1, IOB2 or BIOES. Writes into --output_dir: best and last (model folders, the tags
in their config.json), eval_results.json, report.json (scores by type), dev and test predictions in
the form of their file, metrics.jsonl, log.txt. Next: scripts/bert/predict_ner.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plainbert.cli import values
from plainbert.cli.run import run as run_script
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.flags import Flag
from plainbert.tasks.ner.tags import TRAINED

if TYPE_CHECKING:
    from plainbert.tasks.ner.conll import Sentences

FORMS = "CoNLL columns, or a sentence, a tab and its labels a line."
PATHS = (
    Flag("train_file", str, f"Training sentences: {FORMS}", ("train_path",), "data", "FILE"),
    Flag("dev_file", str, "Sentences to evaluate on; the best epoch is chosen by them.",
         ("dev_path",), "data", "FILE"),
    Flag("test_file", str, "Sentences to tag at the end with the best model; scored if they have "
         "tags.", ("test_path",), "data", "FILE"),
)  # fmt: skip
OWN = (
    (Flag("cased", values.true_or_false, "Whether the published model is the cased one.",
          group="model", metavar="{true,false}", nargs="?", const=True), True),
    (Flag("tag_scheme", values.one_of("scheme of tags", lambda: TRAINED), "Tags to learn: "
          "iob2 or bioes, whatever the file has; plain takes them as they stand. By default those "
          "of the given model, if it has some, else iob2.", group="data", metavar="NAME"), None),
    (Flag("save_checkpoint_prefix", str, "GluonNLP's name of --output_dir.", group="output",
          metavar="DIR"), None),
)  # fmt: skip


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    for flag in PATHS:
        parser.add(flag, None)
    for flag, default in OWN:
        parser.add(flag, default)
    flags.add(parser, max_len=180, metric=None)
    flags.add_training(
        parser, bert_dataset="book_corpus_wiki_en_cased", epochs=4, weight_decay=0.0, seed=13531
    )
    args = flags.parse(parser, argv)
    parser.exclusive(args, "output_dir", "save_checkpoint_prefix")
    parser.exclusive(args, "cased", "bert_dataset", "do_lower_case")
    if not args.only_inference and args.train_file is None:
        parser.error("--train-path is missing; --only_inference evaluates without training.")
    if args.only_inference and args.dev_file is None and args.test_file is None:
        parser.error("nothing to evaluate: give --dev-path or --test-path.")
    if args.save_checkpoint_prefix is not None:
        args.output_dir = args.save_checkpoint_prefix
        args.given = sorted({*args.given, "output_dir"})
    if "cased" in args.given:
        named = (args.model_dir, args.model_parameters, args.pretrained_bert_parameters)
        args.bert_dataset = f"book_corpus_wiki_en_{'cased' if args.cased else 'uncased'}"
        args.do_lower_case = None if named == (None, None, None) else not args.cased
    if "num_workers" in args.given:
        args.notes.append(
            "--num_workers changes nothing: each distinct word is tokenised once, which is quick."
        )
    return args


def scheme_of(args: argparse.Namespace) -> str:
    """The scheme to learn. Of few sentences IOB2 is learned better: it has half as many tags."""
    from plainbert.model_zoo import labels_of
    from plainbert.recipes.shared.models import name_of
    from plainbert.tasks.ner.tags import TagSet

    if args.tag_scheme is not None:
        return str(args.tag_scheme)
    before = TagSet.trained(labels_of(name_of(args)) or ())  # of a tagger that is trained further
    return before.scheme if before.entities else "iob2"


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    args = parse_args(argv)

    from plainbert.recipes.shared.finetuning import session
    from plainbert.tasks.ner import evaluate
    from plainbert.tasks.ner.tags import TagSet

    # Read before anything is made: a wrong line must not leave a run folder behind.
    train, tags = None, None
    if not args.only_inference:
        train = evaluate.read(args.train_file, args.max_train_samples)
        tags = TagSet.of(train, scheme_of(args))
    paths = {"dev": args.dev_file, "test": args.test_file}
    form = train.form if train else None
    sets = {
        split: evaluate.read(path, args.max_eval_samples, form, tagged=split == "dev")
        for split, path in paths.items() if path is not None
    }  # fmt: skip
    with session(args, __file__, argv) as run:
        for each in (*([train] if train else ()), *sets.values()):
            evaluate.describe(each)
        opened = run.open("token_classification", tags.labels if tags else None)
        model, max_len = opened.headed, run.max_len(opened.headed)
        if tags is None:
            about = opened.checkpoint.about
            tags = TagSet.trained(model.config.id2label or (), about.get("tag_scheme"))
            if "max_len" not in args.given:
                max_len = opened.checkpoint.max_length or max_len
        run.ready.log.info("%d tags (%s): %s", len(tags.labels), tags.scheme, " ".join(tags.labels))

        def load(split: str, part: Sentences) -> evaluate.TaggedSplit:
            positions = opened.headed.config.max_position_embeddings
            return evaluate.prepare_split(part, split, opened.tokenizer, tags, max_len, positions)

        data = {split: load(split, part) for split, part in sets.items()}
        if train is not None:
            dev = {split: part for split, part in data.items() if split == "dev"}
            model, chosen = run.train(
                opened,
                load("train", train).words.features,
                evaluate.TagEvaluation(dev, tags, run.ready.dtype, run.ranks, args.metric)
                if dev
                else None,
                about={"task": "tagging", "max_length": max_len, "tag_scheme": tags.scheme},
                labels=tags.labels,
            )
        scores = evaluate.evaluate_splits(
            model, data, tags, run.ready.dtype, run.folder, run.sharing
        )
        if run.first:
            for split, found in scores.items():
                shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
                print(f"{split}: {shown}")
            if train is not None:
                run.next(chosen, "predict_ner.py", "--sentences ...")
    return scores


if __name__ == "__main__":
    run_script(main)
