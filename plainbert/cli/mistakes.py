"""What is wrong with a command line, all of it at once. Free of torch."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence


def render(mistakes: Iterable[object]) -> str:
    """One message of several; one alone is itself.

    Args:
        mistakes: each says what is wrong and what to do; those that occur twice count once.
    """
    texts = list(dict.fromkeys(map(str, mistakes)))
    if len(texts) == 1:
        return texts[0]
    lines = [text.replace("\n", "\n    ") for text in texts]
    return "\n  - ".join([f"{len(texts)} things stand in the way; nothing was done.", *lines])


def about_unknown(words: Sequence[str], known: Iterable[str]) -> tuple[list[str], set[str]]:
    """What to say about words of a command line that belong to no flag.

    Args:
        words: in their order; behind an unknown flag come its values.
        known: every spelling of every flag.

    Returns:
        messages, and the spellings of the flags that were meant.
    """
    messages, meant = [], set()
    known = list(known)
    inside = False  # behind an unknown flag
    for word in words:
        flag = word.split("=")[0]
        if flag.startswith("-") and not re.match(r"-\d|-\.\d", flag):
            near = nearest(flag, known)
            meant |= {near} if near else set()
            guess = f" Did you mean {near}?" if near else ""
            messages.append(f"no flag is named {flag}.{guess}")
            inside = True
        elif not inside:
            messages.append(f"{word!r} belongs to no flag; a value with blanks needs quotes.")
    return messages, meant


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The flag that was mistyped: each of its words is like the one that was typed.

    Example:
        >>> nearest("--bath_size", ["--batch_size"]), nearest("--data_dir", ["--ckpt_dir"])
        ('--batch_size', None)
    """

    def parts(flag: str) -> list[str]:
        return re.split("[-_]", flag.lstrip("-"))

    for flag in difflib.get_close_matches(word, known, n=5, cutoff=0.7):
        pairs = list(itertools.zip_longest(parts(word), parts(flag), fillvalue=""))
        if "".join(parts(word)) == "".join(parts(flag)):
            return flag
        if all(difflib.SequenceMatcher(None, *pair).ratio() >= 0.6 for pair in pairs):
            return flag
    return None
