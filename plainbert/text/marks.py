"""Characters that belong to the one before them, in every script, and the ends of tokens.

Vowel signs of Hindi and Thai, points of Hebrew and Arabic, accents apart from their letter,
joiners and variation selectors of emoji: BERT drops many of them, a reader sees no letter without.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

_BASIC = range(0x300, 0x10000)  # where Unicode keeps its marks
_FURTHER = (range(0x10000, 0x20000), range(0xE0100, 0xE01F0))


def _ranges(codes: Iterable[int]) -> str:
    """Those of the categories Mn, Mc and Me, for the inside of ``[]``."""
    marks = (code for code in codes if unicodedata.category(chr(code))[0] == "M")
    ranges = []
    for _, group in groupby(enumerate(marks), lambda pair: pair[1] - pair[0]):
        run = [code for _, code in group]
        ranges.append(f"{chr(run[0])}-{chr(run[-1])}")
    return "".join(ranges)


# For the inside of the brackets of a regular expression.
_MARKS = _ranges(_BASIC)
MARKS = _MARKS + _ranges(chain.from_iterable(_FURTHER))
JOINERS = "\u200c\u200d\U000e0020-\U000e007f"  # also the letters within flags
_RUN = re.compile(f"[{MARKS}{JOINERS}]+")
_LIKELY = re.compile(f"[{_MARKS}\u200c\u200d\U00010000-\U0010ffff]")  # far faster to search for


def whole_ends(text: str, start: Sequence[int], end: Sequence[int]) -> list[int]:
    """Ends of tokens with the marks and joiners behind them that no token covers.

    Args:
        text: any characters.
        start: first character of each token, never falling.
        end: the character after the last one of each; that of a token without characters stays.
    """
    ends = list(end)
    if text.isascii() or not _LIKELY.search(text):
        return ends
    following, reached, limit = -1, -1, len(text)  # end and new end of the next token; its start
    for place in range(len(ends) - 1, -1, -1):
        stop = ends[place]
        if start[place] == stop:
            continue
        if stop == following:  # two tokens of one character
            ends[place] = reached
        elif run := _RUN.match(text, stop, limit):
            ends[place] = run.end()
        following, reached = stop, ends[place]
        limit = min(limit, start[place])
    return ends
