"""Texts as words: where each word lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plainbert import ragged
from plainbert.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class SplitText:
    """A text and its words.

    Attributes:
        text: all its characters.
        offsets: first character of each word and the character after its last one, in order.
    """

    text: str
    offsets: Sequence[tuple[int, int]]

    @property
    def words(self) -> list[str]:
        """The characters of each word."""
        return [self.text[start:end] for start, end in self.offsets]

    @property
    def touches(self) -> list[bool]:
        """Whether each word begins where the one before ends."""
        ends = [-1, *(end for _, end in self.offsets)]
        return [start == end for (start, _), end in zip(self.offsets, ends, strict=False)]

    @classmethod
    def joined(cls, words: Sequence[str]) -> SplitText:
        """The text of words that are joined by blanks.

        Example:
            >>> SplitText.joined(("a", "cat"))
            SplitText(text='a cat', offsets=[(0, 1), (2, 5)])
        """
        starts = ragged.offsets([len(word) + 1 for word in words]).tolist()
        offsets = [(start, stop - 1) for start, stop in zip(starts[:-1], starts[1:], strict=True)]
        return cls(" ".join(words), offsets)


def split(tokenizer: Tokenizer, text: str) -> SplitText:
    """A text split into what the tokenizer takes for words.

    It splits at blanks, around each punctuation character and around each ideograph. Characters
    that it deletes belong to no word.

    Args:
        tokenizer: knows which tokens begin a word.
        text: any characters.
    """
    pieces = tokenizer.pieces(text)
    offsets: list[tuple[int, int]] = []
    begins = True
    for row, start, end in zip(pieces.ids, pieces.start, pieces.end, strict=True):
        begins = begins or tokenizer.is_first(tokenizer.vocab.tokens[row])
        if start == end:  # a lone mark of a word's beginning; the word comes next
            continue
        if begins:
            offsets.append((start, end))
        else:
            offsets[-1] = (offsets[-1][0], max(offsets[-1][1], end))
        begins = False
    return SplitText(text, offsets)
