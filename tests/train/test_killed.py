"""kill -9 at random moments: the last checkpoint opens, the resumed run ends bit-equal."""

from __future__ import annotations

import subprocess

import pytest

from tests.helpers.processes import environment, helper


@pytest.mark.volume(sample=4, whole=40)
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(trials, tmp_path, seed):
    done = subprocess.run(
        helper("killed_training", tmp_path, trials, seed),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{trials} kills" in done.stdout
