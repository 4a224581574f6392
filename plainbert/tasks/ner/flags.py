"""Flags of the commands that learn and find entities. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.cli import values
from plainbert.cli.settings import Flags, option
from plainbert.tasks.ner.columns import ColumnChoice
from plainbert.tasks.ner.tags import TRAINED

FORMS = "CoNLL columns, or a sentence, a tab and its labels a line."


@dataclass(frozen=True, kw_only=True)
class ColumnFlags(Flags):
    """Which columns of a file hold what."""

    word_column: str | None = option(
        None,
        str,
        "Column of the words: a number from 0, -1 for the last, or its name in the file. By "
        "default the first that does not only count.",
        group="data",
        metavar="COLUMN",
    )
    tag_column: str | None = option(
        None,
        str,
        "Column of the tags: a number from 0, -1 for the last, or its name in the file. By "
        "default the last.",
        group="data",
        metavar="COLUMN",
    )

    @property
    def columns(self) -> ColumnChoice:
        """What the flags say."""
        return ColumnChoice(self.word_column, self.tag_column)


@dataclass(frozen=True, kw_only=True)
class TagFlags(ColumnFlags):
    """Sentences to learn from and to be scored on, and their tags."""

    train_file: str | None = option(
        None, values.path, f"Training sentences: {FORMS}", ("train_path",), "data", "FILE"
    )
    dev_file: str | None = option(
        None,
        values.path,
        "Sentences to evaluate on; the best epoch is chosen by them.",
        ("dev_path",),
        "data",
        "FILE",
    )
    test_file: str | None = option(
        None,
        values.path,
        "Sentences to tag at the end with the best model; scored if they have tags.",
        ("test_path",),
        "data",
        "FILE",
    )
    tag_scheme: str | None = option(
        None,
        values.one_of("scheme of tags", lambda: TRAINED),
        "Tags to learn: iob2 or bioes, whatever the file has; plain takes them as they stand. By "
        "default those of the given model, if it has some, else iob2.",
        group="data",
        metavar="NAME",
    )


@dataclass(frozen=True, kw_only=True)
class PunctuationFlags(Flags):
    """How text becomes rows of words and their punctuation."""

    words: int = option(100, values.positive_int, "Words of a row.", group="data", metavar="N")
    dev_share: float = option(
        0.05,
        values.share,
        "Share of the documents for dev.tsv, in [0, 1).",
        group="data",
        metavar="X",
    )
    test_share: float = option(
        0.05,
        values.share,
        "Share of the documents for test.tsv, in [0, 1).",
        group="data",
        metavar="X",
    )
