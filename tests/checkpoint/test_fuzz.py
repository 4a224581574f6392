"""Broken files, many of them and cut anywhere: an error of ours, or a model that opens."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.helpers.processes import environment, helper


def fuzz(kind, number, folder, seed, *cut):
    """Run it in a process of its own: a crash or too much memory must not end the tests."""
    command = helper("fuzz_checkpoint", kind, number, folder, seed, *cut)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.volume(sample=1000, whole=10_000)
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy", "json"])
def test_broken_files(tmp_path, seed, kind, trials):
    counts = fuzz(kind, trials, tmp_path, seed)
    assert sum(counts.values()) == trials
    # Both ends are reached: neither is everything refused at its first byte, nor nothing read.
    assert counts["opened"] > trials / 50, counts
    assert counts["FormatError"] > trials / 5, counts
    assert counts["CheckpointError"] > trials / 2000, counts


@pytest.mark.volume(sample=400, whole=100_000)  # the files are shorter: whole is at every byte
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_cut_off(tmp_path, kind, trials, record_property):
    counts = fuzz(kind, trials, tmp_path, 0, "cut")
    assert counts["FormatError"] >= min(trials, 1000)
    record_property("trials", counts["FormatError"])
