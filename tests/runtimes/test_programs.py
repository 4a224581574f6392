"""Programs in another Python: what comes of them, and what is said when they fail."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, UsageError
from plainbert.runtimes import answer, programs
from plainbert.runtimes.programs import Remote, execute
from plainbert.runtimes.runtime import MXNET
from tests.helpers import summing_program


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return summing_program.write(tmp_path)


def test_arrays_there_and_back(program: Path) -> None:
    remote = Remote(MXNET, Path(sys.executable), program)
    draw = np.random.default_rng(0)
    for shape in ((2, 3), (1, 1), (600, 700), (0, 4)):  # also more than a pipe holds
        one, two = draw.integers(0, 9, (2, *shape))
        found = remote.ask({"one": one, "two": two.T.copy().T})
        assert np.array_equal(found, one + two)
        assert found.dtype == np.float32
        assert found.flags.writeable
    remote.close()
    assert remote._process.returncode == 0


def test_a_model_that_fails(program: Path) -> None:
    remote = Remote(MXNET, Path(sys.executable), program)
    with pytest.raises(CheckpointError, match="mxnet cannot run this model: ValueError: no such"):
        remote.ask({"fail": np.zeros((300, 300))})
    remote.close()


def test_it_ends_with_its_parent(program: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from plainbert.runtimes.programs import Remote\n"
        "from plainbert.runtimes.runtime import MXNET\n"
        f"remote = Remote(MXNET, Path(sys.executable), Path({str(program)!r}))\n"
        "print(remote._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    pytest.fail("it outlived its parent")


def alive(process: int) -> bool:
    """Whether a process computes; one that nobody has waited for does not."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("raise ValueError('seven weights are missing')", CheckpointError, "seven weights"),
        ("import nothing_of_this_name", UsageError, "lacks what mxnet needs.*nothing_of_this"),
        ("import sys; sys.exit(3)", CheckpointError, "ended with status 3 and said nothing"),
    ],
)
def test_a_program_that_fails(
    tmp_path: Path, code: str, error: type[Exception], words: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(code)
    with pytest.raises(error, match=words):
        execute(MXNET, Path(sys.executable), program, [])


def test_a_python_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be started: Permission denied"):
        execute(MXNET, tmp_path, tmp_path / "program.py", [])


def test_batches_over_pipes() -> None:
    first, second = np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((1, 2), np.int32)
    batches = b"".join(
        json.dumps({"ids": ["<i4", array.shape], "mask": ["<i4", array.shape]}).encode()
        + b"\n"
        + array.tobytes()
        + (array * 10).tobytes()
        for array in (first, second)
    )
    answers = io.BytesIO()

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return (ids + mask).astype(np.float32)[:, ::-1]  # whose bytes do not lie in order

    answer.serve(io.BytesIO(batches), answers, run)  # and it ends

    answers.seek(0)
    assert json.loads(answers.readline()) == "ready"
    for array in (first, second):
        dtype, shape = json.loads(answers.readline())
        output = np.frombuffer(answers.read(4 * array.size), dtype).reshape(shape)
        assert (output == array[:, ::-1] * 11).all()
    assert answers.read() == b""


def test_the_program_imports_nothing_of_ours() -> None:
    assert "plainbert" not in programs.ANSWER.read_text("utf-8").split('"""', 2)[2]
