r"""Make training data for punctuation from any text that has punctuation.

    python scripts/bert/create_punctuation_data.py --input_file 'text/*.txt' --output_dir punct

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path punct/train.tsv \
        --dev-path punct/dev.tsv --test-path punct/test.tsv --output_dir runs/punct

The folder gets train.tsv, dev.tsv and test.tsv in the form of bert-multi-gpu: lower-case words
between blanks, a tab, a label for each word: C comma (also ; : and dashes), P full stop, Q question
mark, E exclamation mark, O nothing. A document, which a blank line ends, is in one split only. The
result depends on the text and the flags alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from plainbert.cli import values
from plainbert.cli.run import run
from plainbert.recipes.shared import flags

OWN = {
    flags.Flag("input_file", values.patterns, "Text files: paths or globs, .gz and .xz too; "
               "several, or between commas.", group="data", metavar="GLOB", nargs="+"):
        flags.REQUIRED,
    flags.Flag("words", values.positive_int, "Words of a row.", group="data", metavar="N"): 100,
    flags.Flag("dev_share", values.share, "Share of the documents for dev.tsv, in [0, 1).",
               group="data", metavar="X"): 0.05,
    flags.Flag("test_share", values.share, "Share of the documents for test.tsv, in [0, 1).",
               group="data", metavar="X"): 0.05,
}  # fmt: skip


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    for flag, default in OWN.items():
        parser.add(flag, default)
    flags.add(parser, output_dir=flags.REQUIRED, overwrite=False, verbose=False, seed=12345)
    return flags.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)

    from plainbert.corpus import documents
    from plainbert.tasks.ner import punctuation

    punctuation.check_folder(args.output_dir, args.overwrite)
    found = punctuation.write(
        documents.find_files(args.input_file),
        args.output_dir,
        args.words,
        args.dev_share,
        args.test_share,
        args.seed,
    )
    for split, rows in found.rows.items():
        shown = ", ".join(f"{label} {count}" for label, count in found.labels[split].items())
        print(f"{split}: {rows} rows; {shown}")
    return asdict(found)


if __name__ == "__main__":
    run(main)
