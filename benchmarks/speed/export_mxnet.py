"""Exporting BERT-base to MXNet: seconds until ``symbol.json`` and ``.params`` are on disk.

    python -m benchmarks.speed.export_mxnet
    python -m benchmarks.speed.export_mxnet --model bert_2_128_2 --repeats 1

A classifier with random weights is exported, with separate and with interleaved queries, keys and
values; the files are synced to disk. Opening the model and checking the export are not counted. The
median is reported beside that of copying a file of the same size, also synced.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from plainbert.cli.parser import Flag, Parser
from plainbert.cli.run import run
from plainbert.cli.values import positive_int
from plainbert.config import BertConfig

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LIMIT = 15.0  # seconds that are promised for BERT-base


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    for flag, default in (
        (Flag("model", str, "Size, as bert_LAYERS_UNITS_HEADS."), "bert_12_768_12"),
        (Flag("repeats", positive_int, "Timed rounds."), 5),
        (Flag("output", str, "Result file, below results/, without .json."), "speed/export_mxnet"),
    ):
        parser.add(flag, default)
    args: argparse.Namespace = parser.parse_args(argv)
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    from plainbert.export.mxnet.format import MXNetFormat
    from plainbert.export.source import Source
    from plainbert.nn.heads import Classifier
    from plainbert.text.vocab import Vocab
    from plainbert.text.wordpiece import WordPiece

    config = BertConfig.from_name(args.model)
    tokenizer = WordPiece(Vocab.from_tokens(SPECIAL), lower=True)
    source = Source(Classifier(config).eval(), "classification", tokenizer, 128, ("no", "yes"))
    with tempfile.TemporaryDirectory() as name:
        separate, fused, copied = (Path(name) / part for part in ("separate", "fused", "copied"))
        separate.mkdir()
        fused.mkdir()
        weights = separate / "classification-0000.params"

        def copy() -> None:
            shutil.copyfile(weights, copied)
            with copied.open("rb") as file:
                os.fsync(file.fileno())

        seconds = measure.interleaved({
            "separate": lambda: MXNetFormat().write(source, separate),
            "fused": lambda: MXNetFormat(fused=True).write(source, fused),
            "copy": copy,
        }, args.repeats)  # fmt: skip
        sizes = {path.name: path.stat().st_size for path in sorted(separate.iterdir())}
    medians = {name: measure.median(each) for name, each in seconds.items()}
    for what, median in medians.items():
        print(f"{what:10} {median:7.2f} s   (worst {max(seconds[what]):.2f} s)")
    result = {
        "model": args.model, "versions": measure.versions(), "bytes": sizes, "limit": LIMIT,
        "seconds": seconds, "median": medians,
    }  # fmt: skip
    measure.save(args.output, result)
    return result


if __name__ == "__main__":
    run(main)
