r"""Compare two checkpoints on the same text, layer by layer; or one with another engine.

Two checkpoints of any formats (folders, GluonNLP or TensorFlow files, published names):

    python scripts/bert/compare_checkpoints.py runs/mrpc/best converted/mrpc

A checkpoint with what Hugging Face's own classes make of it, as a picture and as JSON too:

    python scripts/bert/compare_checkpoints.py all-MiniLM-L6-v2 --reference transformers \
        --plot layers.png --output report.json

With real GluonNLP on MXNet, or with TensorFlow, each in a Python of its own:

    python scripts/bert/compare_checkpoints.py bert_base.params --reference mxnet
    python scripts/bert/compare_checkpoints.py uncased_L-12_H-768_A-12 --reference tensorflow \
        --reference_python .tf/bin/python

Compared are the embeddings' and every layer's output, the pooled vector, and the heads that both
have: logits of masked words (of the tokens that both vocabularies have), next sentence, classes or
tags (matched by label), answers, and the loss of a fixed answer. Padding is never compared. A line
of --file is a text, "first ||| second" a pair; without texts, a few of ours are used.

Exit status: 0 equal, 1 a difference is above --tolerance, 2 the comparison could not be made.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert.cli import values
from plainbert.cli.run import run
from plainbert.compare.names import ENGINES
from plainbert.nn.names import HEADS, OLD_NAMES
from plainbert.recipes.shared import flags, texts
from plainbert.text.samples import TEXTS

PICTURES = (".png", ".svg", ".pdf")
FLAGS = (
    (flags.Flag("reference", values.one_of("engine", lambda: ENGINES), "Engine to run the one "
                "checkpoint with: transformers, mxnet or tensorflow.", metavar="ENGINE"), None),
    (flags.Flag("reference_python", str, "Python that has the engine; else $PLAINBERT_MXNET or "
                "$PLAINBERT_TENSORFLOW, then .mx/bin/python or .tf/bin/python.", metavar="FILE"),
     None),
    (flags.Flag("head", values.one_of("head", lambda: [*HEADS, *OLD_NAMES]), "Open the "
                "checkpoints with this head; the one that has all their weights when not given.",
                metavar="NAME"), None),
    (flags.Flag("tolerance", values.not_negative, "Largest absolute difference that is still "
                "called equal.", metavar="X"), 1e-5),
    (flags.Flag("dtype", values.one_of("dtype", lambda: ("float64", "float32")), "Numbers to "
                "compute in: float64 (differences of the weights) or float32 (of rounding too). "
                "MXNet has float32 only.", metavar="DTYPE"), "float64"),
    (flags.Flag("plot", str, "Picture to draw: .png, .svg or .pdf.", group="output",
                metavar="FILE"), None),
)  # fmt: skip


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    parser.usage = "%(prog)s FIRST [SECOND] [flags]"
    parser.add_argument(
        "checkpoints", nargs="+", type=str, metavar="CHECKPOINT", help="Folder, file or name."
    )
    for flag, default in FLAGS:
        parser.add(flag, default)
    flags.add(parser, vocab=None, num_heads=None, bert_dataset=None, labels=None)
    flags.add(parser, do_lower_case=None)
    flags.add(parser, file=None, sentences=None, text_columns=None)
    flags.add(parser, max_len=None, output=None, overwrite=False, threads=None, verbose=False)
    args = flags.parse(parser, argv)
    if len(args.checkpoints) > 2 or (len(args.checkpoints) == 2) == (args.reference is not None):
        parser.error("give two checkpoints, or one checkpoint and --reference ENGINE.")
    parser.needs(args, "reference_python", "reference")
    parser.needs(args, "text_columns", "file")
    for name, forms in (("output", (".json",)), ("plot", PICTURES)):
        path = getattr(args, name)
        if path is not None and Path(path).suffix not in forms:
            parser.error(f"--{name} {path}: a name ending in {' or '.join(forms)} is expected.")
        if path is not None and Path(path).exists() and not args.overwrite:
            parser.error(f"--{name} {path} exists. Add --overwrite, or choose another name.")
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    rows: Sequence[tuple[str, ...]] = (
        TEXTS if args.file is None and args.sentences is None else texts.read(args)
    )

    from plainbert import files
    from plainbert.compare import models, picture, report
    from plainbert.model_zoo.convert import open_any
    from plainbert.recipes.shared.start import start

    if args.plot is not None:
        picture.require()
    args.gpus = ()  # on the CPU, whose numbers are the engines'
    start(args)
    opened = [
        open_any(
            name,
            vocabulary=args.vocab,
            num_heads=args.num_heads,
            labels=args.labels,
            lower=args.do_lower_case,
            dataset_name=args.bert_dataset,
            head=OLD_NAMES.get(args.head, args.head),
        )
        for name in args.checkpoints
    ]
    common = {"tolerance": args.tolerance, "dtype": args.dtype, "max_len": args.max_len}
    if args.reference is None:
        found = models.two(opened[0], opened[1], rows, names=tuple(args.checkpoints), **common)
    else:
        found = models.reference(
            opened[0],
            args.reference,
            rows,
            python=args.reference_python,
            name=args.checkpoints[0],
            **common,
        )
    print(report.table(found), end="")
    result = report.as_json(found)
    if args.output is not None:
        files.write_json(args.output, result)
    if args.plot is not None:
        picture.draw(found, args.plot)
    return result


if __name__ == "__main__":
    run(main, status=lambda result: 0 if result["equal"] else 1)
