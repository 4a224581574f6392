"""A disk without room for the program: a message, and what was there stays."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from plainbert import checkpoint
from tests.helpers import folders

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "export" / "export.py"


@pytest.mark.parametrize("room", [20_000, 100_000])
def test_no_room_for_the_program(room: int, tmp_path: Path) -> None:
    model = checkpoint.write(tmp_path / "model", folders.tiny(), folders.tokenizer())
    argv = ["--model_dir", str(model), "--format", "torch", "--output_dir", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *argv, "--threads", "1"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
