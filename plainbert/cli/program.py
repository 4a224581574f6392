"""How a user starts the commands: as files of a checkout, or as installed. Free of torch."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

# Below scripts/; all others are bert/NAME.py.
_FILES = {"export": "export/export.py", "launch": "launch.py", "quickstart": "quickstart.py"}
_EXAMPLE = re.compile(r"(python )?scripts/(?:bert/|export/)?(\w+?)(?:_hvd)?\.py")


def command(name: str) -> str:
    """What to type for a command, in the way that this program itself was started.

    Args:
        name: of the command, such as ``predict_ner``.

    Returns:
        ``python scripts/bert/predict_ner.py`` with the folder as the user typed it, after a script
        of a checkout; ``python -m plainbert predict_ner`` or ``plainbert predict_ner`` elsewhere.
    """
    return shlex.join(command_words(name))


def command_words(name: str) -> list[str]:
    """The words of :func:`command`."""
    scripts = _scripts()
    if scripts is not None:
        return ["python", os.path.normpath(scripts / _FILES.get(name, f"bert/{name}.py"))]
    spec = sys.modules["__main__"].__spec__
    module = spec is not None and spec.name.split(".")[0] == "plainbert"
    return [*(("python", "-m") if module else ()), "plainbert", name]


def resumed() -> str:
    """What to type to go on with the run of this program: as it was started, with ``--resume``."""
    words: list[str] = []
    typed = iter(sys.argv[1:])
    for word in typed:
        flag, equals, _ = word.partition("=")
        name = flag.lstrip("-").replace("-", "_") if flag.startswith("-") else ""
        if name == "start_step" and not equals:
            next(typed, None)
        if name not in ("overwrite", "resume", "start_step"):
            words.append(word)
    start = command_words("")[:-1] if _scripts() is None else ["python", sys.argv[0]]
    return shlex.join([*start, *words, "--resume"])


def as_started(text: str) -> str:
    """A text whose examples, ``python scripts/bert/NAME.py``, are what this user would type."""
    if _scripts() is not None:
        return text
    return _EXAMPLE.sub(lambda words: command(words[2]) if words[1] else words[2], text)


def _scripts() -> Path | None:
    """The folder ``scripts`` of the checkout whose script runs; None where it is none of these."""
    script = Path(sys.argv[0])
    if script.suffix != ".py":
        return None
    for folder in (script.parent, script.parent / ".."):
        home = folder.resolve()
        if home.name == "scripts" and (home / "launch.py").is_file():
            return folder
    return None
