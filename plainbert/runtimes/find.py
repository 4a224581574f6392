"""Finding a Python that has a runtime."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from plainbert.errors import UsageError
from plainbert.runtimes.runtime import Runtime


def find_python(runtime: Runtime, python: str | Path | None = None) -> Path:
    """The interpreter that has a runtime.

    Args:
        runtime: what it must have.
        python: what the user named; else the runtime's environment variable, then its folder in
            the working directory, then beside the package.

    Raises:
        UsageError: there is none; the message has the commands that make one.
    """
    named = python or os.environ.get(runtime.variable)
    paths = _places(runtime, named)
    for path in paths:
        if path.is_file():
            return path.absolute()  # not resolved: a virtual environment is known by its link
    what = f"there is no {named}" if named else f"there is no {paths[0]}"
    raise UsageError(
        f"{runtime.name} runs in a Python of its own, and {what}. Make it with\n  "
        + "\n  ".join(runtime.install)
        + f"\nor name one that has it in the environment: {runtime.variable}=PATH."
    )


def is_wanted(runtime: Runtime, python: str | Path | None = None) -> bool:
    """Whether the user named an interpreter for a runtime, or one lies where it usually does."""
    named = python or os.environ.get(runtime.variable)
    return bool(named) or any(path.is_file() for path in _places(runtime, None))


def _places(runtime: Runtime, named: str | Path | None) -> list[Path]:
    """Where the interpreter is looked for."""
    if named:
        return [Path(named).expanduser()]
    roots = (Path(), Path(__file__).parents[2])
    return [root / runtime.folder / "bin" / "python" for root in roots]


def require(runtime: Runtime, python: str | Path | None = None) -> None:
    """Make sure, before any work, that a Python has a runtime.

    Args:
        runtime: what it must have.
        python: the interpreter that the user named, if any; as :func:`find_python` takes it.

    Raises:
        UsageError: there is no such Python, or it lacks the runtime.
    """
    interpreter = find_python(runtime, python)
    # Importing it would tell more, and take seconds.
    look = f"import importlib.util as u, sys; sys.exit(u.find_spec({runtime.name!r}) is None)"
    try:
        status = subprocess.run([str(interpreter), "-I", "-c", look], check=False).returncode
    except OSError as error:
        raise UsageError(f"{interpreter} cannot be started: {error.strerror}.") from None
    if status:
        raise runtime.failure(interpreter, status, f"ModuleNotFoundError: {runtime.name}")
