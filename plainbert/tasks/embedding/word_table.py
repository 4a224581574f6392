"""Words and their vectors as a table to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm.utils import disp_len

from plainbert.tasks.embedding.encode import Vectors

ENDS = 3  # numbers at either end of a vector, as in GluonNLP's documentation
HEADER = ("word", "dims", "norm", "vector")


def word_table(words: Sequence[str], vectors: Sequence[Vectors]) -> str:
    """One line a word: how many numbers its vector has, its length, and its first and last ones.

    Args:
        words: L words.
        vectors: for each word (D,).
    """
    cells = [HEADER, *map(_cells, words, vectors)]
    # Ideographs take two places of a terminal.
    widths = [max(disp_len(row[column]) for row in cells) for column in range(3)]
    lines = []
    for word, *numbers, vector in cells:
        pad = " " * (widths[0] - disp_len(word))
        right = (f"{text:>{width}}" for text, width in zip(numbers, widths[1:], strict=True))
        lines.append("  ".join([f"{word}{pad}", *right, vector]))
    return "\n".join(lines)


def _cells(word: str, vector: Vectors) -> tuple[str, str, str, str]:
    ends = np.array2string(
        vector,
        max_line_width=1000,
        precision=4,
        floatmode="fixed",
        sign=" ",
        threshold=2 * ENDS,
        edgeitems=ENDS,
    )
    return word, str(len(vector)), f"{np.linalg.norm(vector):.4f}", ends
