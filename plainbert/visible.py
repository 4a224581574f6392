"""Text for eyes: what a terminal would obey stands escaped, as JSON writes it.

Texts, labels, names of files and answers of servers come from others. Printed or logged as they
are, they could clear the screen, colour it, or rewrite what was said before. Files of results keep
them exact.
"""

from __future__ import annotations

import os
import re

# All control characters but the tab and the line feed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    r"""A text without control characters: ``\u001b`` for the one that begins a terminal's commands.

    Tabs and line feeds stay. Escaped text stays as it is, so nothing is escaped twice.
    """
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def near(path: str | os.PathLike[str]) -> str:
    """A path as a user in the working folder would type it: what is below it needs no more words.

    Example:
        >>> near(os.path.join(os.getcwd(), "runs", "spam"))
        'runs/spam'
    """
    try:
        inside = os.path.join(os.getcwd(), "")
    except OSError:  # the working folder is gone
        return os.fspath(path)
    whole = os.path.abspath(path)
    return whole.removeprefix(inside) if whole.startswith(inside) else os.fspath(path)
