"""The suite that runs real MXNet and real GluonNLP: ``make test-mxnet``.

They live in the Python that PLAINBERT_MXNET names; what runs there is in ``programs/``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

VARIABLE = "PLAINBERT_MXNET"
PROGRAMS = Path(__file__).resolve().parent / "programs"


@pytest.fixture(scope="session")
def run_there() -> Callable[..., None]:
    """Run one of the programs with that Python; its output is shown when it fails."""

    def run(program: str, *arguments: Path) -> None:
        python = Path(os.environ[VARIABLE]).expanduser().absolute()
        assert python.is_file(), f"{VARIABLE}={python}: there is no such file"
        # Our packages must not be found by that Python, nor Python's own variables reach it.
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        env |= {"OMP_NUM_THREADS": "1", "MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0"}
        done = subprocess.run(
            [python, PROGRAMS / program, *arguments], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    return run
