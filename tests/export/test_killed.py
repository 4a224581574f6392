"""kill -9 of an export that replaces another one: the next start finds one of them whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.processes import Command, environment, helper


@pytest.mark.slow
def test_a_kill_leaves_one_export_whole(tmp_path: Path) -> None:
    done = Command(helper("killed_export", tmp_path), environment()).wait(570)
    assert done.status == 0, done.text[-3000:]
    assert " kills, 5 states" in done.text
