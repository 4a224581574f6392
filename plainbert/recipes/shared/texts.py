"""The texts that a command line names. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator

from plainbert.recipes.shared.settings import TextsFlags
from plainbert.tasks.classification.table import is_plain, iter_texts
from plainbert.text.inputs import typed_texts

PAIR = " ||| "  # between the two texts of a pair, as bert-as-service has it


def read(settings: TextsFlags) -> list[tuple[str, ...]]:
    """The texts of ``--sentences`` or ``--file``, in order; pairs as two texts.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """
    return list(stream(settings))


def stream(settings: TextsFlags) -> Iterator[tuple[str, ...]]:
    """Yield what :func:`read` returns, as it is read.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """
    if settings.sentences is not None:
        yield from (split(text) for text in typed_texts(settings.sentences, "sentences"))
        return
    assert settings.file is not None
    # What stands in a column is one text, whatever it holds.
    plain = is_plain(settings.file, settings.text_columns)
    for row in iter_texts(settings.file, settings.text_columns):
        yield split(row[0]) if plain else row


def split(text: str) -> tuple[str, ...]:
    """A text, or the two texts around the last " ||| "."""
    first, bar, second = text.rpartition(PAIR)
    return (first, second) if bar else (text,)


def join(row: tuple[str, ...]) -> str:
    """What :func:`split` took apart."""
    return PAIR.join(row)
