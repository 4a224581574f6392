"""The tests that repeat a trial, with all of their trials: `make test` runs a sample of each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from tests.drill.judge import Fault
from tests.helpers.isolation import CHECKOUT

MARK = "pytest.mark.volume("


def test_files() -> list[Path]:
    """All files with such tests."""
    paths = sorted((CHECKOUT / "tests").rglob("test_*.py"))
    return [path for path in paths if MARK in path.read_text("utf-8")]


def run(path: Path, root: Path, seed: int) -> Counter[str]:
    """Run those of a file.

    Args:
        path: of the file.
        root: a folder for the report.
        seed: shifts the seeds of the tests.

    Returns:
        how many trials passed.

    Raises:
        Fault: one did not.
    """
    report = root / f"{path.stem}.xml"
    words = ["-q", "-m", "volume", "-p", "no:cacheprovider", "--seed", str(seed)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--junitxml", str(report), str(path)],
        cwd=root,
        env={**os.environ, "PLAINBERT_VOLUME": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Fault(f"status {done.returncode}: ...{done.stdout[-4000:]}")
    count = 0
    for case in ElementTree.parse(report).iter("testcase"):
        recorded = {tag.get("name"): tag.get("value", "") for tag in case.iter("property")}
        count += int(recorded.get("trials", 1))
    return Counter(passed=count)
