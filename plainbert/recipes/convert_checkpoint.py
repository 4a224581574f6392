r"""Convert a checkpoint between GluonNLP, Google's TensorFlow and Hugging Face formats.

    python scripts/bert/convert_checkpoint.py --from uncased_L-12_H-768_A-12 --to bert-base

    python scripts/bert/convert_checkpoint.py --to gluonnlp_model --format gluonnlp \
        --from bert_12_768_12_book_corpus_wiki_en_uncased-75cc780f.params

--from takes a folder, a file (NAME.params, bert_model.ckpt) or a published name; its format is
found out. --to is the folder to write, in the format of --format. Every weight that was not used,
and every weight and setting of the tokenizer that the new format has no place for, is named. Every
script also takes such folders and files unconverted, with --model_dir.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from plainbert.cli import values
from plainbert.cli.parser import REQUIRED
from plainbert.cli.settings import option
from plainbert.formats.names import FORMATS
from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.settings import CheckpointFlags

if TYPE_CHECKING:
    from plainbert.model_zoo.convert import Conversion

FORMAT_HELP = "; ".join(f"{name} ({what})" for name, what in FORMATS.items())

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(CheckpointFlags):
    """The flags, with their documented defaults."""

    source: str = option(
        REQUIRED,
        str,
        "Folder, file or published name to read.",
        ("source",),
        "conversion",
        "PATH",
        name="from",
    )
    target: str = option(
        REQUIRED,
        str,
        "Folder to write; must not exist.",
        ("target",),
        "conversion",
        "DIR",
        name="to",
    )
    format: str = option(
        "huggingface",
        values.one_of("format", lambda: FORMATS),
        f"Format to write: {FORMAT_HELP}.",
        ("to_format",),
        "conversion",
        "NAME",
    )
    from_format: str | None = option(
        None,
        values.one_of("format", lambda: FORMATS),
        "Format to read, where a folder holds several.",
        group="conversion",
        metavar="NAME",
    )
    vocab_order: str | None = option(
        None,
        str,
        "Put the rows of the word vectors into the order of this vocabulary file, which holds the "
        "same tokens; or 'gluonnlp' for the order of GluonNLP's own ([UNK] 0, [PAD] 1, [CLS] 2 "
        "...).",
        group="conversion",
        metavar="FILE",
    )
    repair_bias: bool = option(
        False,
        None,
        "The source was trained with GluonNLP 0.9.0 to 0.9.2, which mixed up the query, key and "
        "value biases.",
        group="conversion",
    )
    vocab: str | None = None
    num_heads: int | None = None
    labels: tuple[str, ...] | None = None


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv)


def run(settings: Settings) -> Conversion:
    """Write the checkpoint in the other format."""
    from plainbert.model_zoo import convert
    from plainbert.recipes.shared.start import start

    start(settings)
    opened = convert.open_any(
        settings.source,
        format=settings.from_format,
        vocabulary=settings.vocab,
        num_heads=settings.num_heads,
        labels=settings.labels,
        repair_bias=settings.repair_bias,
        lower=settings.do_lower_case,
        dataset_name=settings.bert_dataset,
    )
    conversion = convert.convert(opened, settings.target, settings.format, settings.vocab_order)
    for line in conversion.report():
        log.info("%s", line)
    log.info(
        "next: embedding.py, or any other script, with --model_dir %s",
        quote(str(conversion.folder)),
    )
    return conversion


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    settings = parse_args(argv)
    with command.shown(settings, "convert_checkpoint", argv):
        conversion = run(settings)
        return {
            "folder": str(conversion.folder),
            "unused": conversion.unused,
            "dropped": conversion.dropped,
        }
