"""Running exports of MXNet in another Python: what can be checked without MXNet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, UsageError
from plainbert.export.mxnet import format
from plainbert.export.mxnet.format import MXNetFormat, MXNetRunner
from plainbert.runtimes.find import MXNET
from plainbert.runtimes.remote import Remote
from tests.helpers import mxnet_sources as sources

# Answers as run_mxnet.py does, with the sum of its inputs; "fail" in their names is its end.
PROGRAM = """
import json, os, sys
import numpy as np
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
print("noise")
answers.write(b'"ready"\\n')
answers.flush()
while line := sys.stdin.buffer.readline():
    total = 0
    for name, (dtype, shape) in json.loads(line).items():
        size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        array = np.frombuffer(sys.stdin.buffer.read(size), dtype).reshape(shape)
        if name == "fail":
            raise ValueError("no such layer")
        total = total + array
    total = np.ascontiguousarray(total, np.float32)
    answers.write(json.dumps([total.dtype.str, total.shape]).encode() + b"\\n" + total.tobytes())
    answers.flush()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


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


def test_a_program_that_fails(program: Path) -> None:
    remote = Remote(MXNET, Path(sys.executable), program)
    with pytest.raises(CheckpointError, match="mxnet cannot run this model: ValueError: no such"):
        remote.ask({"fail": np.zeros((300, 300))})
    remote.close()


def test_it_ends_with_its_parent(program: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from plainbert.runtimes.remote import Remote; from plainbert.runtimes.find import MXNET\n"
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


def test_a_python_without_mxnet(tmp_path: Path) -> None:
    folder = sources.export(sources.tiny("ner"), tmp_path)
    with pytest.raises(UsageError, match="lacks what mxnet needs(.|\\n)*mxnet==1.9.1"):
        MXNetFormat(python=sys.executable).open_runner(folder)
    with pytest.raises(UsageError, match="there is no nowhere(.|\n)*PLAINBERT_MXNET=PATH"):
        MXNetFormat(python="nowhere").open_runner(folder)


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"one \*-symbol.json is expected, there are 0"):
        MXNetFormat().open_runner(tmp_path)
    (tmp_path / "net-symbol.json").write_text('{"nodes": [{"op": "null", "name": "data"}]}')
    with pytest.raises(CheckpointError, match="net-0000.params does not exist"):
        MXNetFormat().open_runner(tmp_path)
    (tmp_path / "net-0000.params").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is no graph of BERT"):
        MXNetFormat().open_runner(tmp_path)


def test_inputs_that_mxnet_would_mistake(program: Path) -> None:
    with MXNetRunner(Remote(MXNET, Path(sys.executable), program), 4) as runner:
        ids = np.ones((2, 5), np.int64)
        with pytest.raises(UsageError, match="inputs of 5 tokens: the model has 4 positions"):
            runner.run(ids, ids, ids)
        short = ids[:, :3]
        with pytest.raises(UsageError, match="padding comes last"):
            runner.run(short, short, np.array([[1, 1, 0], [0, 1, 1]]))


def test_the_program_imports_nothing_of_ours() -> None:
    assert "plainbert" not in format.PROGRAM.read_text("utf-8").split('"""', 2)[2]
