"""Characters that belong to the one before them, in every script, and the ends of tokens.

Vowel signs of Hindi and Thai, points of Hebrew and Arabic, accents apart from their letter,
joiners and variation selectors of emoji: BERT drops many of them, a reader sees no letter without.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

_RANGE = chain(range(0x300, 0x20000), range(0xE0100, 0xE01F0))  # where Unicode keeps its marks
_ALL = [code for code in _RANGE if unicodedata.category(chr(code))[0] == "M"]  # Mn, Mc, Me
_JOINERS = (0x200C, 0x200D, *range(0xE0020, 0xE0080))  # also the letters within flags


def _ranges(codes: Iterable[int]) -> str:
    """Ascending characters for the inside of the brackets of a regular expression."""
    ranges = []
    for _, group in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        run = [code for _, code in group]
        ranges.append(f"{chr(run[0])}-{chr(run[-1])}")
    return "".join(ranges)


MARKS = _ranges(_ALL)
JOINERS = _ranges(_JOINERS)
_EXTENDING = frozenset(map(chr, (*_ALL, *_JOINERS)))
_RUN = re.compile(f"[{MARKS}{JOINERS}]+")
# Far faster to search for: ranges beyond 16 bits are looked through one by one.
_LIKELY = re.compile(
    f"[{_ranges(code for code in _ALL if code < 0x10000)}\u200c\u200d\U00010000-\U0010ffff]"
)


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
    padded = text + " "
    for place in [place for place, stop in enumerate(end) if padded[stop] in _EXTENDING]:
        stop = end[place]
        following = place + 1
        # Those of no characters do not count, nor do others of the same last character.
        while following < len(end) and end[following] in (start[following], stop):
            following += 1
        limit = start[following] if following < len(end) else len(text)
        run = _RUN.match(text, stop, limit) if start[place] < stop < limit else None
        if run:
            ends[place] = run.end()
    return ends
