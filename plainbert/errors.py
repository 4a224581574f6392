"""What can go wrong, one class per kind of mistake.

Everything a user can cause is a :class:`PlainBertError`; the scripts print it as ``error: ...``
and exit with status 2. A message says what was given, what is accepted and what to do.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path

from plainbert.visible import visible


class PlainBertError(Exception):
    """Base of every error that plainbert raises on purpose."""

    def __str__(self) -> str:
        # KeyError and OSError would quote or number the text: always print the plain message.
        return visible(str(self.args[0])) if self.args else ""


class UsageError(PlainBertError, ValueError):
    """Arguments or flags that are wrong, or that do not go together."""


class UnknownNameError(UsageError):
    """A model, data set, task, optimizer or metric was asked for by a name nobody registered.

    Args:
        kind: what was looked for, in the singular ("task").
        name: the name that was not found.
        known: every accepted name.
        fix: one more sentence on what to do, may be empty.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], fix: str = "") -> None:
        names = sorted(known)
        folded = {known_name.casefold(): known_name for known_name in names}
        near = difflib.get_close_matches(name.casefold(), list(folded), n=1)
        guess = f" Did you mean {folded[near[0]]!r}?" if near else ""
        message = f"no {kind} is named {name!r}.{guess} Known: {', '.join(names)}."
        super().__init__(f"{message} {fix}".rstrip())


class DataError(PlainBertError, ValueError):
    """A row of the user's data cannot be used.

    Args:
        reason: what is wrong and what is accepted.
        path: the file, if there is one.
        line: its line, counted from 1; 0 when the whole file is meant.
        content: the offending text; shown shortened.
    """

    def __init__(
        self, reason: str, path: str | Path | None = None, line: int = 0, content: str = ""
    ) -> None:
        path = "standard input" if str(path) == "-" else path
        place = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        excerpt = ""
        if content:
            short = content if len(content) <= 80 else f"{content[:77]}..."
            excerpt = f"\n  the line reads: {short!r}"
        super().__init__(f"{place}{reason}{excerpt}")


class FormatError(PlainBertError, ValueError):
    """The bytes of a file are not what its format says (truncated, wrong magic, garbled)."""


class CheckpointError(PlainBertError, ValueError):
    """A checkpoint folder is incomplete, or its parts (weights, config, vocabulary) disagree."""


class MissingHeadError(CheckpointError):
    """A checkpoint has no head of the kind that the model needs."""


class ShapeError(PlainBertError, ValueError):
    """Sizes that cannot go together, such as a width that the heads do not divide."""


class MissingDependencyError(PlainBertError, ImportError):
    """An optional package is not installed.

    Args:
        package: the name to import.
        extra: plainbert's extra that brings it ("datasets"); empty for one that none brings.
        purpose: what it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install {_requirement(package, extra)}"
        )


class DownloadError(PlainBertError, OSError):
    """Weights or data could not be fetched; the message lists what was tried."""


class DeviceError(PlainBertError, RuntimeError):
    """A device was asked for that this machine does not have."""


def _requirement(package: str, extra: str) -> str:
    """What pip takes for a package: here a checkout's extra with its versions, else the extra."""
    if not extra:
        return package
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / "constraints.txt").is_file():
        return f'"plainbert[{extra}]"'
    if checkout == Path.cwd():
        return f"-c constraints.txt -e '.[{extra}]'"
    return shlex.join(["-c", f"{checkout}/constraints.txt", "-e", f"{checkout}[{extra}]"])


class Stopped(KeyboardInterrupt):
    """A run ended because it was told to, after it had saved where it stood.

    Args:
        number: of the signal.
        speaks: whether this process, of all that work together, is the one to say it.
    """

    def __init__(self, number: int, speaks: bool = True) -> None:
        super().__init__(f"ended by signal {number}")
        self.number, self.speaks = number, speaks
