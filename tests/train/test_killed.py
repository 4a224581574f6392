"""kill -9 at random moments: the last checkpoint opens, the resumed run ends bit-equal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(kills, tmp_path, seed):
    command = [
        sys.executable,
        Path(__file__).with_name("killed.py"),
        tmp_path,
        str(kills),
        str(seed),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{kills} kills" in done.stdout
