"""kill -9 of an export that replaces another one: the next start finds one of them whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.processes import HERE, Command, environment


@pytest.mark.slow
def test_a_kill_leaves_one_export_whole(tmp_path: Path) -> None:
    words = [sys.executable, str(HERE / "tests/helpers/killed_export.py"), str(tmp_path)]
    done = Command(words, environment()).wait(570)
    assert done.status == 0, done.text[-3000:]
    assert " kills, 5 states" in done.text
