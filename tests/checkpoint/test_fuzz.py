"""Broken files, by the thousand and at every byte: an error of ours, or a model that opens."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.helpers.processes import environment, helper

NUMBER = 10_000


def fuzz(kind, number, folder, seed):
    """Run it in a process of its own: a crash or too much memory must not end the tests."""
    command = helper("fuzz_checkpoint", kind, number, folder, seed)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy", "json"])
def test_broken_files(tmp_path, seed, kind):
    counts = fuzz(kind, NUMBER, tmp_path, seed)
    assert sum(counts.values()) == NUMBER
    # Both ends are reached: neither is everything refused at its first byte, nor nothing read.
    assert counts["opened"] > NUMBER / 50, counts
    assert counts["FormatError"] > NUMBER / 5, counts
    assert counts["CheckpointError"] > NUMBER / 1000, counts


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_cut_at_every_byte(tmp_path, kind):
    counts = fuzz(kind, "truncate", tmp_path, 0)
    assert counts["FormatError"] > 1000
