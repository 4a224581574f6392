"""kill -9 of the scripts that make data: the old files are left whole, or the new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.processes import Command, environment, helper


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 8])
@pytest.mark.parametrize("script", ["pretraining", "punctuation"])
def test_a_kill_leaves_one_set_whole(tmp_path: Path, script: str, kills: int, seed: int) -> None:
    """Before every change of a file (0 kills), and at random moments with several processes."""
    words = helper("killed_corpus", tmp_path, script, kills, seed)
    done = Command(words, environment()).wait(570)
    assert done.status == 0, done.text[-3000:]
    assert done.text.count(" kills") == 2
