"""Files by glob patterns, as shells have them."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def matching(pattern: str | Path) -> list[str]:
    """Paths that a pattern matches, sorted; ``~`` is expanded, ``**`` is any folders.

    What exists by that very name is itself, whatever brackets and stars are in it; so are the
    folders that a pattern begins with.
    """
    path = os.path.expanduser(pattern)
    if os.path.lexists(path):
        return [path]
    known, parts = Path(), Path(path).parts
    while parts and (known / parts[0]).is_dir():
        known, parts = known / parts[0], parts[1:]
    start = glob.escape(str(known)) if known.parts else ""
    return sorted(glob.glob(os.path.join(start, *parts), recursive=True))
