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
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert.cli import values
from plainbert.cli.parser import REQUIRED
from plainbert.cli.settings import option
from plainbert.formats.names import FORMATS
from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import CheckpointFlags

if TYPE_CHECKING:
    from plainbert.model_zoo.convert import Conversion

# Names of files that users may expect, by the format that has them.
ENDINGS = {
    ".params": "gluonnlp", ".vocab": "gluonnlp", ".ckpt": "tensorflow", ".index": "tensorflow",
    ".bin": "pytorch", ".pt": "pytorch", ".pth": "pytorch", ".safetensors": "huggingface",
}  # fmt: skip
FORMAT_HELP = "; ".join(f"{name} ({what})" for name, what in FORMATS.items())

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(CheckpointFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required": ("source", "target"),
        "what people set": (
            "format", "from_format", "bert_dataset", "do_lower_case", "vocab", "vocab_order",
            "num_heads", "labels", "repair_bias",
        ),
    }  # fmt: skip
    UNSET: ClassVar = {
        "from_format": "by the files",
        "bert_dataset": "not stated",
        "vocab_order": "the source's",
    }

    source: str = option(
        REQUIRED,
        values.path,
        "Folder, file or published name to read.",
        ("source",),
        "conversion",
        "PATH",
        name="from",
    )
    target: str = option(
        REQUIRED,
        values.path,
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
        values.path,
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
    whole: bool = option(
        False,
        None,
        "With --format pytorch, from Google's pre-trained files: keep the heads of pre-training. "
        "Without it the encoder alone is written, as by convert_tf_checkpoint_to_pytorch.py.",
        group="conversion",
    )
    vocab: str | None = None
    num_heads: int | None = None
    labels: tuple[str, ...] | None = None

    def checked(self) -> Self:
        settings = super().checked()
        if self.whole and self.format != "pytorch":
            self.refuse("--whole goes with --format pytorch: the other formats keep all heads.")
        ending = Path(self.target).suffix
        if ending in ENDINGS:
            folder = Path(self.target).with_suffix("")
            self.refuse(
                f"--to {self.target}: a folder is written, and {ending} is the ending of a file. "
                f"Name a folder and its format: --to {folder} --format {ENDINGS[ending]}."
            )
        return settings


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals("convert_checkpoint"))


def run(settings: Settings) -> Conversion:
    """Write the checkpoint in the other format."""
    from plainbert.model_zoo import convert
    from plainbert.model_zoo.stored import ForeignCheckpoint
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
    # Google's pre-trained files became a bare encoder, without "bert." before the names.
    stored = opened.checkpoint
    google = isinstance(stored, ForeignCheckpoint) and stored.foreign.format == "tensorflow"
    whole = settings.whole or settings.format != "pytorch" or not google
    conversion = convert.convert(
        opened, settings.target, settings.format, settings.vocab_order, whole
    )
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
