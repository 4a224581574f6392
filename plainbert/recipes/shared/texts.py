"""The texts that a command line names. Free of torch."""

from __future__ import annotations

from plainbert.recipes.shared.settings import TextsFlags
from plainbert.tasks.classification.table import read_texts

PAIR = " ||| "  # between the two texts of a pair, as bert-as-service has it


def read(settings: TextsFlags) -> list[tuple[str, ...]]:
    """The texts of ``--sentences`` or ``--file``, in order; pairs as two texts.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """
    rows: list[tuple[str, ...]]
    if settings.sentences is not None:
        rows = [(sentence,) for sentence in settings.sentences]
    else:
        assert settings.file is not None
        rows = read_texts(settings.file, settings.text_columns)
    return [split(row[0]) if len(row) == 1 else row for row in rows]


def split(text: str) -> tuple[str, ...]:
    """A text, or the two texts around the last " ||| "."""
    first, bar, second = text.rpartition(PAIR)
    return (first, second) if bar else (text,)


def join(row: tuple[str, ...]) -> str:
    """What :func:`split` took apart."""
    return PAIR.join(row)
