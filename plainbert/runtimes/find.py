"""Programs for other runtimes, such as MXNet or TensorFlow, in a Python that has them.

Such a program imports no part of plainbert, so that neither side's dependencies bind the other.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plainbert.errors import CheckpointError, UsageError


@dataclass(frozen=True)
class Runtime:
    """What runs models, and where it lives.

    Attributes:
        name: what flags call it, and its package.
        install: commands that make its environment.
        variable: environment variable that names the Python which has it.
        folder: the virtual environment that is looked for in the working directory.
    """

    name: str
    install: tuple[str, ...]
    variable: str
    folder: str


MXNET = Runtime(
    "mxnet",
    (
        "python3.11 -m venv .mx && .mx/bin/pip install numpy==1.23.5 mxnet==1.9.1",
        ".mx/bin/pip install gluonnlp==0.10.0",
    ),
    "PLAINBERT_MXNET",
    ".mx",
)
TENSORFLOW = Runtime(
    "tensorflow",
    ("python3 -m venv .tf && .tf/bin/pip install tensorflow-cpu",),
    "PLAINBERT_TENSORFLOW",
    ".tf",
)


def find_python(runtime: Runtime, given: str | Path | None = None) -> Path:
    """The interpreter that has a runtime.

    Args:
        runtime: which.
        given: what the user named; else the runtime's environment variable, then its folder in
            the working directory, then beside the package.

    Raises:
        UsageError: there is none; the message has the commands that make one.
    """
    named = given or os.environ.get(runtime.variable)
    home = Path(__file__).parent.parent
    places = (
        [Path(named).expanduser()]
        if named
        else [root / runtime.folder / "bin" / "python" for root in (Path(), home)]
    )
    for place in places:
        if place.is_file():
            return place.absolute()  # not resolved: a virtual environment is known by its link
    what = f"there is no {named}" if named else f"there is no {places[0]}"
    raise UsageError(
        f"{runtime.name} runs in a Python of its own, and {what}. Make it with\n  "
        + "\n  ".join(runtime.install)
        + f"\nor name one that has it in the environment: {runtime.variable}=PATH."
    )


def require(runtime: Runtime, given: str | Path | None = None) -> None:
    """Make sure, before any work, that a Python has a runtime.

    Args:
        runtime: which.
        given: see :func:`find_python`.

    Raises:
        UsageError: there is no such Python, or it lacks the runtime.
    """
    interpreter = find_python(runtime, given)
    # Importing it would tell more, and take seconds.
    look = f"import importlib.util as u, sys; sys.exit(u.find_spec({runtime.name!r}) is None)"
    try:
        status = subprocess.run([str(interpreter), "-I", "-c", look], check=False).returncode
    except OSError as error:
        raise UsageError(f"{interpreter} cannot be started: {error.strerror}.") from None
    if status:
        raise failure(runtime, interpreter, status, f"ModuleNotFoundError: {runtime.name}")


def command(interpreter: Path, program: Path, *words: str) -> list[str]:
    """The command line of a program; isolated (-I): neither our folder nor variables matter."""
    return [str(interpreter), "-I", str(program), *words]


def execute(runtime: Runtime, interpreter: Path, program: Path, words: Sequence[str]) -> None:
    """Run a program to its end.

    Raises:
        UsageError: the interpreter cannot be started, or lacks the runtime.
        CheckpointError: the program failed; its last line says why.
    """
    line = command(interpreter, program, *words)
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"{interpreter} cannot be started: {error.strerror}.") from None
    if done.returncode:
        raise failure(runtime, interpreter, done.returncode, done.stderr)


def failure(
    runtime: Runtime, interpreter: Path, status: int, said: str
) -> UsageError | CheckpointError:
    """What to tell the user about a program that ended badly.

    Args:
        runtime: what it ran on.
        interpreter: in which Python.
        status: how it ended.
        said: on its standard error.
    """
    lines = [line for line in said.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else f"it ended with status {status} and said nothing"
    if "ModuleNotFoundError" in last or "ImportError" in last:
        return UsageError(
            f"{interpreter} lacks what {runtime.name} needs ({last}). Make one with\n  "
            + "\n  ".join(runtime.install)
        )
    return CheckpointError(f"{runtime.name} cannot run this model: {last}")
