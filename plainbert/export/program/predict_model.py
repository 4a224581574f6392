"""Goes with predict.py: the tokenizer, and the model over inputs of any number and length."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

TOGETHER = 16  # inputs that go through the model at a time
JOINERS = {0x200C, 0x200D, *range(0xE0020, 0xE0080)}

if TYPE_CHECKING:
    Spans = list[tuple[int, int]]
    Input = tuple[list[int], list[int]]  # ids, and the segment of each


class Model:
    """The exported model and its tokenizer.

    Args:
        about: the content of manifest.json.
        tokenizer: of the ``tokenizers`` library, from tokenizer.json.
        run: padded ids, types and mask, each (B, L) -> the outputs of the model.

    Attributes:
        about: what manifest.json says.
        decoding: how results are made of outputs, as manifest.json says.
        limit: tokens of an input at most.
        begin: id of [CLS].
        end: id of [SEP].
        cut: texts that were too long and lost their end.
    """

    def __init__(self, about: dict[str, Any], tokenizer: Any, run: Callable[..., Any]) -> None:
        self.about, self.decoding = about, about["decoding"]
        self.limit: int = about["max_length"]
        self.cut = 0
        self._run, self._tokenizer = run, tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.begin, self.end = tokenizer.encode("").ids

    def ids(self, text: str) -> list[int]:
        """Ids of a text, without [CLS] and [SEP]."""
        ids: list[int] = self._tokenizer.encode(_clean(text), add_special_tokens=False).ids
        return ids

    def pieces(self, text: str) -> tuple[list[int], list[str], Spans]:
        """Ids and sub-words of a text, and the characters of each."""
        encoding = self._tokenizer.encode(_clean(text), add_special_tokens=False)
        return encoding.ids, encoding.tokens, _whole(text, encoding.offsets)

    def outputs(self, inputs: Sequence[Input]) -> list[Any]:
        """The output of every input; where there is one per token, without padding."""
        results: list[Any] = [None] * len(inputs)
        order = sorted(range(len(inputs)), key=lambda row: len(inputs[row][0]))
        for first in range(0, len(order), TOGETHER):
            part = order[first : first + TOGETHER]
            shape = (len(part), len(inputs[part[-1]][0]))
            ids, types, mask = (np.zeros(shape, np.int64) for _ in range(3))
            for place, row in enumerate(part):
                size = len(inputs[row][0])
                ids[place, :size], types[place, :size] = inputs[row]
                mask[place, :size] = 1
            values = self._run(ids, types, mask)
            for place, row in enumerate(part):
                size = len(inputs[row][0])
                results[row] = values[place, :size] if values.ndim == 3 else values[place]
        return results


def _clean(text: str) -> str:
    """A text without halves of characters, which no tokenizer takes; as long as before."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


def _whole(text: str, offsets: Sequence[tuple[int, int]]) -> Spans:
    """Characters of tokens with the accents and joiners behind them that no token covers."""
    spans = list(offsets)
    if text.isascii():
        return spans
    for place, (start, stop) in enumerate(offsets):
        later = (a for a, b in offsets[place + 1 :] if b not in (a, stop))
        end, limit = stop, next(later, len(text)) if start < stop else 0
        while end < limit and _extends(text[end]):
            end += 1
        spans[place] = (start, end)
    return spans


def _extends(char: str) -> bool:
    """Whether a character belongs to the one before it."""
    return ord(char) in JOINERS or unicodedata.category(char)[0] == "M"
