"""Texts and their vectors as a CSV file: a row for each text, or for each word."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from plainbert.tasks.embedding.encode import Vectors

NUMBER = "%.9g"  # read again, the same float32


def csv_lines(
    texts: Sequence[str],
    vectors: Vectors | Sequence[Vectors],
    words: Sequence[Sequence[str]] | None = None,
    header: bool = True,
) -> bytes:
    """Columns "text", with words "word", and "v0", "v1" and so on for the numbers; in UTF-8.

    Args:
        texts: N texts.
        vectors: (N, D'), or with words for each text (L, D').
        words: for each text the L words that the vectors are of; None where they are of texts.
        header: whether the names of the columns come first.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if header:
        width = vectors[0].shape[-1]
        names = ["text"] if words is None else ["text", "word"]
        writer.writerow([*names, *(f"v{number}" for number in range(width))])
    for cells, vector in _rows(texts, vectors, words):
        writer.writerow([*cells, *(NUMBER % number for number in vector.tolist())])
    return lines.getvalue().encode("utf-8", "backslashreplace")


def _rows(
    texts: Sequence[str],
    vectors: Vectors | Sequence[Vectors],
    words: Sequence[Sequence[str]] | None,
) -> Iterator[tuple[list[str], Vectors]]:
    if words is None:
        for text, vector in zip(texts, vectors, strict=True):
            yield [text], vector
        return
    for text, names, rows in zip(texts, words, vectors, strict=True):
        for name, vector in zip(names, rows, strict=True):
            yield [text, name], vector
