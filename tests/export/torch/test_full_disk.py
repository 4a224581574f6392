"""A disk without room for the program: a message, and what was there stays."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from plainbert import checkpoint
from plainbert.recipes import export
from tests.drill.child import Child
from tests.helpers import folders


@pytest.mark.parametrize("room", [20_000, 100_000])
def test_no_room_for_the_program(room: int, tmp_path: Path) -> None:
    torch.set_num_threads(1)  # a process forked from one that had more could hang
    place = tmp_path / "place"
    model = checkpoint.write(place / "model", folders.tiny(), folders.tokenizer())
    argv = ["--model_dir", str(model), "--format", "torch", "--output_dir", str(place / "out")]

    def around(work: Callable[[], object]) -> None:
        sys.dont_write_bytecode = True  # it would leave half a .pyc
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        work()

    ended = Child(export.main, [*argv, "--threads", "1"], tmp_path / "log", around).end()
    assert ended.is_refused, ended
    assert [path.name for path in place.iterdir()] == ["model"]
