"""The marks that end and part sentences, in every script, and the label of each.

Unicode's names say what a mark is: DEVANAGARI DANDA, ARABIC COMMA, FULLWIDTH QUESTION MARK.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

COMMA, PERIOD, QUESTION, EXCLAMATION = "C", "P", "Q", "E"

# Marks of the same weight have one label, as in the shared tasks of speech translation.
_BY_NAME = {
    **dict.fromkeys(("COMMA", "COLON", "SEMICOLON", "EM DASH", "EN DASH"), COMMA),
    **dict.fromkeys(("FULL STOP", "DANDA", "SHAD", "ELLIPSIS"), PERIOD),
    **dict.fromkeys(("QUESTION", "INTERROBANG"), QUESTION),
    "EXCLAMATION": EXCLAMATION,
}
_NAME = re.compile(rf"\b(?:{'|'.join(_BY_NAME)})\b")
# They stand before what they mark, like the Spanish ones, or open a Tibetan text.
_BEFORE = re.compile(r"\b(?:INVERTED|INITIAL|CARET|YIG MGO|SBRUL)\b")
_NAMED_OTHERWISE = {  # of Greek, Burmese, Khmer, Balinese, Javanese; Hebrew, Sinhala and others
    **dict.fromkeys("\u0387\u2015\u104a\u17d6\u1b5e\ua9c8", COMMA),
    **dict.fromkeys("\u05c3\u0700\u0df4\u104b\u17d4\u17d5\u1b5f\u2025\ua9c9\uabeb\ufe30", PERIOD),
}
_LAST = 0x20000  # no punctuation lies behind it
# Armenian writes these two within a word, over the vowel that is stressed.
WITHIN_WORDS = "\u055c\u055e"


def _labels() -> Iterator[tuple[str, str]]:
    for char in map(chr, range(_LAST)):
        if unicodedata.category(char)[0] != "P":
            continue
        name = unicodedata.name(char)
        if (match := _NAME.search(name)) and not _BEFORE.search(name):
            yield char, _BY_NAME[match[0]]


LABELS = {**dict(_labels()), **_NAMED_OTHERWISE}
