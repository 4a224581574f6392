"""Compiled products are bounded: new shapes need no new memory for ever."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from plainbert.infer import compiled

# Bytes that malloc has given out; the products of 300 shapes take some 75 MB.
PROGRAM = """
import ctypes, sys
import torch

class Counts(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Counts
torch.set_num_threads(1)
{setup}
used = []
for rows in range(1, 601):
    torch.randn(rows, 8).bfloat16() @ torch.randn(8, 8).bfloat16()
    if rows in (300, 600):
        used.append(library.mallinfo2().uordblks)
print((used[1] - used[0]) / 1e6)
"""
SETUPS = {
    "training": """
from plainbert.train.module_state import ModuleState
from plainbert.train.optim import Optimizer
from plainbert.train.step import Scaler, Stepper
from tests.helpers import tiny
model = tiny.model()
Stepper(ModuleState(model), Optimizer("sgd", model.named_parameters()), Scaler())
""",
    "inference": """
from plainbert.infer.prepare import prepare
from tests.helpers import tiny
prepare(tiny.model())
""",
    "command": """
from plainbert.recipes.shared.settings import DeviceFlags
from plainbert.recipes.shared.start import start
start(DeviceFlags(dtype="auto"))
""",
}


def grown(setup: str, **variables: str) -> float:
    """Megabytes that malloc gave out for shapes 301 to 600."""
    free = {key: value for key, value in os.environ.items() if key not in compiled.VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setup=setup)],
        capture_output=True,
        text=True,
        check=False,
        env={**free, **variables},
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_new_shapes_take_no_new_memory(setup: str) -> None:
    assert grown(setup) < 15


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    compiled.keep_few()
    assert [os.environ[name] for name in compiled.VARIABLES] == [str(compiled.MOST), "7"]
