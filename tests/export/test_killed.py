"""kill -9 of an export that replaces another one: the next start finds one of them whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.processes import Command, environment, helper


@pytest.mark.slow
@pytest.mark.volume(sample=5, whole=12)
def test_a_kill_leaves_one_export_whole(
    tmp_path: Path, trials: int, record_property: Callable[[str, object], None]
) -> None:
    words = helper("killed_export", tmp_path, *(["all"] if trials > 5 else []))
    done = Command(words, environment()).wait(570)
    assert done.status == 0, done.text[-3000:]
    count = re.search(r"(\d+) kills, 5 states", done.text)
    assert count is not None, done.text
    assert int(count[1]) >= trials
    record_property("trials", int(count[1]))
