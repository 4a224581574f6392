"""kill -9 of the scripts that make data: the old files are left whole, or the new ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.processes import Command, environment, helper


@pytest.mark.slow
@pytest.mark.volume(sample=8, whole=1000)  # there are about 100 changes of files
@pytest.mark.parametrize("script", ["pretraining", "punctuation"])
def test_a_kill_leaves_one_set_whole(
    tmp_path: Path,
    script: str,
    trials: int,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    """Before changes of a file, and at random moments with several processes."""
    words = helper("killed_corpus", tmp_path, script, trials, min(trials // 4, 8), seed)
    done = Command(words, environment()).wait(570)
    assert done.status == 0, done.text[-3000:]
    counts = [
        (int(kills), int(states))
        for kills, states in re.findall(r"^kills: (\d+); states: (\d+)$", done.text, re.MULTILINE)
    ]
    assert len(counts) == 2  # without an older set, and with one
    assert all(kills >= trials // 40 and states > 4 for kills, states in counts), counts
    record_property("trials", sum(kills for kills, _ in counts))
