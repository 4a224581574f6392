"""Words of any length in time that grows with it: ``tokenizers`` takes the square of the length.

A ``tokenizer.json`` may allow words as long as it likes, and text without blanks (Thai, a line of
base64) is one word to BERT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

import tokenizers
from tokenizers import models

SHORT = 300  # characters of a run up to which the library is fast
LONG_RUN = re.compile(rf"\S{{{SHORT + 1}}}")

Spans = list[tuple[int, int]]


def words(
    text: str, like: tokenizers.Tokenizer, add_tokens: Callable[[tokenizers.Tokenizer], None]
) -> Iterator[tuple[str, Spans, bool]]:
    """Words of a text as a tokenizer sees them before its model, with the place of each character.

    Args:
        text: without lone surrogates.
        like: whose normalizer and splits are used.
        add_tokens: registers the tokens that are found before anything else.

    Yields:
        characters as normalised, where each comes from, and whether the word is an added token;
        that has one place.
    """
    # A model without merges: its tokens are single characters, whose offsets the library tells.
    characters = sorted({*like.normalizer.normalize_str(text)})
    model = models.BPE({char: row for row, char in enumerate(characters)}, [])
    spelling = tokenizers.Tokenizer(model)
    spelling.normalizer, spelling.pre_tokenizer = like.normalizer, like.pre_tokenizer
    add_tokens(spelling)
    encoding = spelling.encode(text, add_special_tokens=False)
    columns = zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True)
    for _, group in groupby(columns, key=lambda column: column[0]):
        _, rows, spans = zip(*group, strict=True)
        if rows[0] < len(characters):
            yield "".join(characters[row] for row in rows), list(spans), False
        else:
            yield spelling.id_to_token(rows[0]) or "", list(spans), True
