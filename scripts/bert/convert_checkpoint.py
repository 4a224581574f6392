r"""Convert a checkpoint between GluonNLP, Google's TensorFlow and Hugging Face formats.

    python scripts/bert/convert_checkpoint.py --from uncased_L-12_H-768_A-12 --to bert-base

    python scripts/bert/convert_checkpoint.py --to gluonnlp_model --format gluonnlp \
        --from bert_12_768_12_book_corpus_wiki_en_uncased-75cc780f.params

--from takes a folder, a file (NAME.params, bert_model.ckpt) or a published name; its format is
found out. --to is the folder to write, in the format of --format. Every weight that was not used,
and every one that the new format has no place for, is named. Every script also takes such folders
and files unconverted, with --model_dir.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plainbert.cli import values
from plainbert.cli.run import run
from plainbert.formats.names import FORMATS
from plainbert.recipes.shared import flags

FORMAT_HELP = "; ".join(f"{name} ({what})" for name, what in FORMATS.items())

SOURCE = flags.Flag(
    "from", str, "Folder, file or published name to read.", ("source",), "conversion", "PATH"
)
TARGET = flags.Flag("to", str, "Folder to write; must not exist.", ("target",), "conversion", "DIR")
FORMAT = flags.Flag(
    "format",
    values.one_of("format", lambda: FORMATS),
    f"Format to write: {FORMAT_HELP}.",
    ("to_format",),
    "conversion",
    "NAME",
)
FROM_FORMAT = flags.Flag(
    "from_format",
    values.one_of("format", lambda: FORMATS),
    "Format to read, where a folder holds several.",
    (),
    "conversion",
    "NAME",
)
ORDER = flags.Flag(
    "vocab_order",
    str,
    "Put the rows of the word vectors into the order of this "
    "vocabulary file, which holds the same tokens; or 'gluonnlp' for the order of "
    "GluonNLP's own ([UNK] 0, [PAD] 1, [CLS] 2 ...).",
    (),
    "conversion",
    "FILE",
)
REPAIR = flags.Flag(
    "repair_bias",
    None,
    "The source was trained with GluonNLP 0.9.0 to 0.9.2, "
    "which mixed up the query, key and value biases.",
    group="conversion",
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.add(SOURCE, flags.REQUIRED)
    parser.add(TARGET, flags.REQUIRED)
    parser.add(FORMAT, "huggingface")
    for flag in (FROM_FORMAT, ORDER):
        parser.add(flag, None)
    parser.add(REPAIR, False)
    flags.add(parser, vocab=None, num_heads=None, labels=None, bert_dataset=None)
    flags.add(parser, do_lower_case=None, verbose=False)
    return flags.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    from plainbert.model_zoo import convert
    from plainbert.recipes.shared.start import start

    ready = start(args)
    opened = convert.open_any(
        getattr(args, "from"),
        format=args.from_format,
        vocabulary=args.vocab,
        num_heads=args.num_heads,
        labels=args.labels,
        repair_bias=args.repair_bias,
        lower=args.do_lower_case,
        dataset_name=args.bert_dataset,
    )
    done = convert.convert(opened, args.to, args.format, args.vocab_order)
    for line in done.report():
        ready.log.info("%s", line)
    ready.log.info("next: any script with --model_dir %s", done.folder)
    return {"folder": str(done.folder), "unused": done.unused, "dropped": done.dropped}


if __name__ == "__main__":
    run(main)
