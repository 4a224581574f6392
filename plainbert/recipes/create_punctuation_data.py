r"""Make training data for punctuation from any text that has punctuation.

    python scripts/bert/create_punctuation_data.py --input_file 'text/*.txt' --output_dir punct

    python scripts/bert/finetune_ner.py --model_dir all-MiniLM-L6-v2 --train-path punct/train.tsv \
        --dev-path punct/dev.tsv --test-path punct/test.tsv --output_dir runs/punct

The folder gets train.tsv, dev.tsv and test.tsv in the form of bert-multi-gpu: lower-case words
between blanks, a tab, a label for each word: C comma (also ; : and dashes), P full stop, Q question
mark, E exclamation mark, O nothing; the marks of every script count. A document, which a blank line
ends, is in one split only. The result depends on the text and the flags alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from plainbert.cli import values
from plainbert.cli.parser import REQUIRED
from plainbert.cli.settings import option
from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.flag_tables import helped
from plainbert.recipes.shared.settings import FolderFlags, SeedFlags
from plainbert.tasks.ner.flags import PunctuationFlags

if TYPE_CHECKING:
    from plainbert.tasks.ner.punctuation import PunctuationSummary


@dataclass(frozen=True, kw_only=True)
class Settings(FolderFlags, SeedFlags, PunctuationFlags):
    """The flags, with their documented defaults."""

    input_file: tuple[str, ...] = option(
        REQUIRED,
        values.patterns,
        "Text files: paths or globs, .gz and .xz too; several, or between commas.",
        group="data",
        metavar="GLOB",
        nargs="+",
    )
    output_dir: str = helped("output_dir", "Folder to write train.tsv, dev.tsv and test.tsv into.")
    overwrite: bool = helped("overwrite", "Replace the files that are in --output_dir.", False)


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv)


def run(settings: Settings) -> PunctuationSummary:
    """Write the rows of every split."""
    from plainbert.corpus import documents
    from plainbert.tasks.ner import punctuation

    punctuation.check_folder(settings.output_dir, settings.overwrite)
    return punctuation.write(
        documents.find_files(settings.input_file),
        settings.output_dir,
        settings.words,
        settings.dev_share,
        settings.test_share,
        settings.seed,
    )


def report(results: PunctuationSummary) -> None:
    """Print how many rows and labels each file has."""
    for split, rows in results.rows.items():
        labels = ", ".join(f"{label} {count}" for label, count in results.labels[split].items())
        print(f"{split}: {rows} rows; {labels}")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    return asdict(command.carry_out("create_punctuation_data", argv, parse_args, run, report))
