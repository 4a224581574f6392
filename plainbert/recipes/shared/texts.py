"""The texts that a command line names, and the file that the results go to. Free of torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from plainbert.cli.parser import Parser
from plainbert.tasks.classification.table import read_texts

PAIR = " ||| "  # between the two texts of a pair, as bert-as-service has it


def check(parser: Parser, args: argparse.Namespace, forms: Sequence[str]) -> None:
    """Exit unless there are texts, and the results can be written.

    Args:
        parser: of the script.
        args: parsed flags, among them file, sentences, text_columns, output, overwrite.
        forms: suffixes that ``--output`` may have.
    """
    if args.file is None and args.sentences is None:
        parser.error("no texts: give --sentences TEXT ..., or --file FILE (- is standard input).")
    parser.needs(args, "text_columns", "file")
    if args.output is None:
        return
    if Path(args.output).suffix not in forms:
        parser.error(f"--output {args.output}: a name ending in {' or '.join(forms)} is expected.")
    if Path(args.output).exists() and not args.overwrite:
        parser.error(f"--output {args.output} exists. Add --overwrite, or choose another name.")


def read(args: argparse.Namespace) -> list[tuple[str, ...]]:
    """The texts of ``--sentences`` or ``--file``, in order; pairs as two texts.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """
    if args.sentences is not None:
        rows: list[tuple[str, ...]] = [(sentence,) for sentence in args.sentences]
    else:
        rows = read_texts(args.file, args.text_columns)
    return [split(row[0]) if len(row) == 1 else row for row in rows]


def split(text: str) -> tuple[str, ...]:
    """A text, or the two texts around the last " ||| "."""
    first, bar, second = text.rpartition(PAIR)
    return (first, second) if bar else (text,)


def join(row: tuple[str, ...]) -> str:
    """What :func:`split` took apart."""
    return PAIR.join(row)
