r"""Find entities in text, or tag words, with a model that finetune_ner.py trained.

    python scripts/bert/predict_ner.py --model_dir runs/ner/best \
        --sentences "Anna Lee flew from Berlin to New York."

Plain text, one a line; the result has the text's own characters, their places and confidence:

    python scripts/bert/predict_ner.py --model_dir runs/ner/best --file texts.txt \
        --output entities.jsonl

CoNLL files (a word a line), or a sentence a line for .tsv; with tags in them there are scores:

    python scripts/bert/predict_ner.py --model_dir runs/ner/best --test-path test.conll \
        --output predictions.conll

What GluonNLP's script left behind, models/large_bert_012.params and its metadata:

    python scripts/bert/predict_ner.py --load-checkpoint-prefix models/large_bert \
        --test-path test.txt

--output ends in .jsonl (entities; words, where the labels mark none), .conll or .txt (columns:
word, tag in the file, predicted tag) or .tsv (words, a tab, predicted tags). Without it JSON Lines
are printed. Every text gets an answer, in the order of the input.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert.cli.run import run
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.flags import Flag

FORMS = (".jsonl", ".conll", ".txt", ".tsv")
OWN = (
    (Flag("model_dir", str, "Model: a folder, a name, or the prefix of GluonNLP's files.",
          ("load_checkpoint_prefix",), "model", "DIR"), flags.REQUIRED),
    (Flag("test_file", str, "Words of sentences, tagged or not: CoNLL columns, or for .tsv a "
          "sentence a line.", ("test_path",), "data", "FILE"), None),
    (Flag("batch_size", int, "Accepted for old command lines.", group="data", metavar="N",
          note="batches are packed by tokens, and the results are the same for any size."), 32),
)  # fmt: skip


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    for flag, default in OWN:
        parser.add(flag, default)
    flags.add(parser, bert_dataset=None, labels=None, do_lower_case=None)
    flags.add(parser, file=None, sentences=None, max_len=None)
    flags.add(parser, output=None, overwrite=False, verbose=False)
    flags.add_device(parser, dtype="float32")
    flags.add_processes(parser)
    args = flags.parse(parser, argv)
    parser.exclusive(args, "test_file", "file", "sentences")
    if args.test_file is None and args.file is None and args.sentences is None:
        parser.error("no texts: give --sentences TEXT ..., --file FILE or --test-path FILE.")
    if args.output is not None:
        if Path(args.output).suffix not in FORMS:
            parser.error(f"--output {args.output}: a name ending in {', '.join(FORMS)} is needed.")
        if Path(args.output).exists() and not args.overwrite:
            parser.error(f"--output {args.output} exists. Add --overwrite, or choose another name.")
    return args


def read(args: argparse.Namespace) -> dict[str, list[Any]]:
    """The texts, or the words of each, and their tags, None where there are none."""
    from plainbert.tasks.classification.table import read_texts
    from plainbert.tasks.ner import evaluate

    if args.test_file is not None:
        data = evaluate.read(args.test_file, tagged=False)
        evaluate.describe(data)
        return {
            "texts": [each.words for each in data.sentences],
            "tags": [each.tags for each in data.sentences],
        }
    texts = args.sentences or [row[0] for row in read_texts(args.file)]
    return {"texts": list(texts), "tags": [None] * len(texts)}


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    from plainbert import files
    from plainbert.containers.tables import table as lines
    from plainbert.recipes.shared.ranks import deal, join, shared
    from plainbert.recipes.shared.start import start
    from plainbert.recipes.shared.taggers import length_of, open_tagger
    from plainbert.tasks.ner.conll import Sentence
    from plainbert.tasks.ner.decode import Tagging
    from plainbert.tasks.ner.result_files import record, report, score, table
    from plainbert.tasks.reports import format_report

    with join(args, __file__, argv) as group:
        ready = start(args, group=group)
        given = shared(group, lambda: read(args))
        texts = [each if isinstance(each, str) else tuple(each) for each in given["texts"]]
        model = open_tagger(args, ready)
        max_len, tags = length_of(args, model), model.tags

        def tag(part: list[Any]) -> list[Any]:
            found = model.tag(part, max_len=max_len, bar=group.rank == 0)
            return [dataclasses.asdict(each) for each in found]

        found = [Tagging.of(each) for each in deal(group, texts, tag)]
    scores: dict[str, float] = {}
    if all(given["tags"]):
        predicted = [each.tags for each in found]
        scores = score(predicted, given["tags"], tags)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        ready.log.info("%s\n%s", shown, format_report(report(predicted, given["tags"], tags)))
    if group.rank == 0:
        suffix = ".jsonl" if args.output is None else Path(args.output).suffix
        if suffix == ".jsonl":
            content = lines([record(each, tags) for each in found], suffix)
        else:
            sentences = [
                Sentence(tuple(word.text for word in each.words), own)
                for each, own in zip(found, given["tags"], strict=True)
            ]
            content = table(sentences, [each.tags for each in found], suffix, tags)
        if args.output is None:
            print(content, end="")
        else:
            files.write_text(args.output, content)
            ready.log.info("%d predictions in %s", len(found), args.output)
            if scores:
                print(shown)
    return {"predictions": found, "scores": scores}


if __name__ == "__main__":
    run(main)
