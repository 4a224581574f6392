"""The texts that a command line names. Free of torch."""

from __future__ import annotations

from plainbert.recipes.shared.settings import TextsFlags
from plainbert.tasks.classification.table import is_plain, read_texts
from plainbert.text.inputs import typed_texts

PAIR = " ||| "  # between the two texts of a pair, as bert-as-service has it


def read(settings: TextsFlags) -> list[tuple[str, ...]]:
    """The texts of ``--sentences`` or ``--file``, in order; pairs as two texts.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """
    if settings.sentences is not None:
        return [split(sentence) for sentence in typed_texts(settings.sentences, "sentences")]
    assert settings.file is not None
    rows = read_texts(settings.file, settings.text_columns)
    # What stands in a column is one text, whatever it holds.
    plain = is_plain(settings.file, settings.text_columns)
    return [split(row[0]) for row in rows] if plain else rows


def split(text: str) -> tuple[str, ...]:
    """A text, or the two texts around the last " ||| "."""
    first, bar, second = text.rpartition(PAIR)
    return (first, second) if bar else (text,)


def join(row: tuple[str, ...]) -> str:
    """What :func:`split` took apart."""
    return PAIR.join(row)
