"""The runtimes that live in a Python of their own, and what is said when one fails."""

from __future__ import annotations

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

    def failure(self, interpreter: Path, status: int, output: str) -> UsageError | CheckpointError:
        """What to tell the user about a program that ended badly.

        Args:
            interpreter: the Python that it ran in.
            status: its exit status.
            output: what it wrote to standard error.
        """
        lines = [line for line in output.strip().splitlines() if line.strip()]
        last = lines[-1] if lines else f"it ended with status {status} and said nothing"
        if "ModuleNotFoundError" in last or "ImportError" in last:
            return UsageError(
                f"{interpreter} lacks what {self.name} needs ({last}). Make one with\n  "
                + "\n  ".join(self.install)
            )
        return CheckpointError(f"{self.name} cannot run this model: {last}")


MXNET = Runtime(
    name="mxnet",
    install=(
        "python3.11 -m venv .mx && .mx/bin/pip install numpy==1.23.5 mxnet==1.9.1",
        ".mx/bin/pip install gluonnlp==0.10.0",
    ),
    variable="PLAINBERT_MXNET",
    folder=".mx",
)
TENSORFLOW = Runtime(
    name="tensorflow",
    install=("python3 -m venv .tf && .tf/bin/pip install tensorflow-cpu",),
    variable="PLAINBERT_TENSORFLOW",
    folder=".tf",
)
