"""Whether a model is uncased, where no setting says it: by its vocabulary and names of files."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from plainbert.errors import UsageError

log = logging.getLogger(__name__)

_BRACKETS = re.compile(r"\[[^\]]*\]|<[^>]*>")  # [unused1], <s>
# Google lower-cases for its first multilingual model and its Chinese one too.
_NAME = re.compile(r"(uncased|(?:multilingual|chinese)_l-\d+_h-\d+)|(?<![a-z])cased")
_KINDS = {True: "uncased", False: "cased"}


def of_names(names: Iterable[str]) -> bool | None:
    """Whether text is lower-cased by names with "uncased" or "cased" in them.

    Args:
        names: of files and folders.

    Returns:
        None where none says it, or two of them say different things.
    """
    says = {bool(match[1]) for name in names if (match := _NAME.search(name.lower()))}
    return says.pop() if len(says) == 1 else None


def of_tokens(tokens: Iterable[str]) -> bool | None:
    """Whether text is lower-cased by the tokens: none has an upper-case letter outside brackets.

    Returns:
        None where they have no letters of which there are two cases.
    """
    text = _BRACKETS.sub("", "\n".join(tokens))
    if text != text.lower() and any(map(_is_capital, set(text))):
        return False
    return True if text != text.upper() else None


def _is_capital(char: str) -> bool:
    # Without a small form it stays as it is in lower-cased text: mathematical letters, for one.
    return unicodedata.category(char) in ("Lu", "Lt") and char.lower() != char


def names_of(path: Path) -> tuple[str, ...]:
    """The names that may say the casing of what a file holds: its own, its folder's, the model's.

    Args:
        path: of a vocabulary or of weights; a folder of a download cache is known.
    """
    paths = (path.absolute(), path.resolve())
    models = (part for full in paths for part in full.parts if part.startswith("models--"))
    return (path.name, *(full.parent.name for full in paths), *models)


def settled(tokens: Iterable[str], path: Path | None = None, names: Iterable[str] = ()) -> bool:
    """Whether to lower-case, by all that may say it.

    Args:
        tokens: of the vocabulary.
        path: of the vocabulary; its names count too.
        names: further names of files and folders.

    Raises:
        UsageError: the tokens and the names disagree, or nothing says it.
    """
    names = (*names, *(names_of(path) if path is not None else ()))
    statements = {name: lower for name in names if (lower := of_names([name])) is not None}
    by_tokens = of_tokens(tokens)
    kinds = {*statements.values(), by_tokens} - {None}
    what = path or "the vocabulary"
    if len(kinds) == 1:
        lower = bool(kinds.pop())
        evidence = [f"its name ({name})" for name in list(statements)[:1]]
        if by_tokens is not None:
            evidence.append("no upper-case letter in it" if lower else "upper-case letters in it")
        log.debug("%s: %s, by %s", what, _KINDS[lower], " and ".join(evidence))
        return lower
    if kinds:
        facts = [f"{name!r} says {_KINDS[lower]}" for name, lower in statements.items()]
        if by_tokens is not None:
            facts.append(
                f"the vocabulary has {'no' if by_tokens else 'an'} upper-case letter, as "
                f"{_KINDS[by_tokens]} ones do"
            )
        reason = f"is uncased or cased: {'; '.join(facts)}"
    else:
        reason = "says not whether it is uncased: no file beside it does, nor its letters or name"
    raise UsageError(
        f"{what} {reason}. Say --do_lower_case true (uncased) or --do_lower_case false (cased)."
    )
