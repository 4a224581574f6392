"""The texts that a command line names. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plainbert.recipes.shared.settings import TextsFlags
from plainbert.tasks.classification.rows import PAIR, InputRow
from plainbert.tasks.classification.table import is_plain, iter_rows
from plainbert.text.inputs import typed_texts


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
    for row in rows(settings):
        yield row.texts


def rows(
    settings: TextsFlags, label: str | None = None, keep: Sequence[str] = ()
) -> Iterator[InputRow]:
    """Yield the texts, with what is to be handed on beside the predictions.

    Args:
        settings: name the texts.
        label: the column of the right label; None where there is none.
        keep: other columns, by name or number; "all" alone: all of them.

    Raises:
        DataError: the file is empty, a row cannot be used, or a column is missing.
        UsageError: columns are named of a file whose lines are texts.
    """
    if settings.sentences is not None:
        for text in typed_texts(settings.sentences, "sentences"):
            yield InputRow(split(text))
        return
    assert settings.file is not None
    # What stands in a column is one text, whatever it holds.
    plain = is_plain(settings.file, settings.text_columns)
    for row in iter_rows(settings.file, settings.text_columns, label, keep):
        yield InputRow(split(row.texts[0]) if plain else row.texts, row.label, row.others)


def split(text: str) -> tuple[str, ...]:
    """A text, or the two texts around the last " ||| "."""
    first, bar, second = text.rpartition(PAIR)
    return (first, second) if bar else (text,)


def join(row: tuple[str, ...]) -> str:
    """What :func:`split` took apart."""
    return PAIR.join(row)
