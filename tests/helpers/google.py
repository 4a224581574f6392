"""Google's tokenizer written slowly, with the place of every character: the oracle.

Source:
    google-research/bert, tokenization.py (Apache-2.0), re-stated character by character.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures" / "text"
LANGUAGES = (FIXTURES / "languages.txt").read_text(encoding="utf-8").split("\n")


def _is_control(char: str) -> bool:
    return char not in "\t\n\r" and unicodedata.category(char).startswith("C")


def _is_blank(char: str) -> bool:
    return char in " \t\n\r" or unicodedata.category(char) in ("Zs", "Zl", "Zp")


def _is_punctuation(char: str) -> bool:
    ascii_symbol = 33 <= ord(char) <= 126 and not char.isalnum()
    return ascii_symbol or unicodedata.category(char).startswith("P")


def _is_ideograph(char: str) -> bool:
    blocks = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF))
    return any(first <= ord(char) <= last for first, last in blocks)


def words(text: str, lower: bool) -> list[list[tuple[str, int]]]:
    """Basic tokenisation: words as lists of (character, its index in the text)."""
    found: list[list[tuple[str, int]]] = [[]]
    for index, original in enumerate(text):
        if original in "\0\ufffd" or _is_control(original):
            continue
        if _is_blank(original):
            found.append([])
            continue
        chars = original
        if lower:
            parts = unicodedata.normalize("NFD", original)
            chars = "".join(c for c in parts if unicodedata.category(c) != "Mn").lower()
        for char in chars:
            alone = _is_punctuation(char) or _is_ideograph(original)
            if alone:
                found += [[(char, index)], []]
            else:
                found[-1].append((char, index))
    return [word for word in found if word]


def pieces(
    text: str, rows: dict[str, int], lower: bool, longest: int = 100, unk: str = "[UNK]"
) -> list[tuple[int, int, int]]:
    """WordPiece: (id, start, end) of every sub-word."""
    result = []
    for word in words(text, lower):
        spelled = "".join(char for char, _ in word)
        start, found = 0, []
        while start < len(spelled) and len(spelled) <= longest:
            end = len(spelled)
            while end > start:
                piece = ("##" if start else "") + spelled[start:end]
                if piece in rows:
                    break
                end -= 1
            if end == start:
                break
            found.append((rows[piece], word[start][1], word[end - 1][1] + 1))
            start = end
        if start < len(spelled):
            found = [(rows[unk], word[0][1], word[-1][1] + 1)]
        result += found
    return result


def whole(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places of sub-words, each with the marks and joiners behind it that are in no other."""
    covered = {index for start, end in spans for index in range(start, end)}
    result = []
    for start, end in spans:
        while start < end < len(text) and end not in covered and _is_extension(text[end]):
            end += 1
        result.append((start, end))
    return result


def _is_extension(char: str) -> bool:
    joins = char in "\u200c\u200d" or 0xE0020 <= ord(char) <= 0xE007F
    return joins or unicodedata.category(char) in ("Mn", "Mc", "Me")
