"""The jobs of README, run as a user would: what they print is what README shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.helpers.scripts import HERE

NUMBER = re.compile(r"\d+\.\d+")
BLOCK = re.compile(r"\.\. code-block:: console\n\n((?: {4}.*\n|\n)+)")


@dataclass
class Shown:
    """A command of a page, and the lines of its output that the page shows."""

    command: str
    lines: list[str] = field(default_factory=list)


def shown(text: str) -> list[Shown]:
    """The commands of the console blocks that run our scripts or exports, in order."""
    jobs: list[Shown] = []
    for block in BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", textwrap.dedent(block)).splitlines():
            if line.startswith("$ "):
                jobs.append(Shown(line.removeprefix("$ ")))
            elif line.strip() not in ("", "..."):
                jobs[-1].lines.append(line)
    return [job for job in jobs if job.command.startswith("python ")]


def missing(lines: list[str], output: str) -> list[str]:
    """The lines that do not follow each other in an output; numbers may differ by a little.

    Another processor rounds otherwise, and training makes that visible.
    """
    rest = iter(output.splitlines())
    return [line for line in lines if not any(alike(line, other) for other in rest)]


def alike(line: str, other: str) -> bool:
    """Whether two lines have the same words, and numbers that are close."""
    if NUMBER.sub("#", line).split() != NUMBER.sub("#", other).split():
        return False
    pairs = zip(NUMBER.findall(line), NUMBER.findall(other), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=0.1, abs=0.08) for a, b in pairs)


README = (HERE / "README.rst").read_text("utf-8")


@pytest.mark.readme
def test_every_job_prints_what_is_shown(tmp_path: Path) -> None:
    for name in ("data", "scripts", "plainbert"):
        (tmp_path / name).symlink_to(HERE / name)
    for job in shown(README):
        words = shlex.split(job.command)
        result = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output = result.stdout
        assert result.returncode == 0, f"{job.command}\n{output}"
        assert missing(job.lines, output) == [], f"{job.command}\n{output}"


def test_the_jobs_are_there_with_their_output() -> None:
    jobs = shown(README)

    assert len(jobs) >= 10
    assert sum(bool(job.lines) for job in jobs) >= 6


def test_lines_are_compared_as_a_reader_would() -> None:
    output = "first\nlabel  score\nham    0.9951\nlast 3 rows\n"

    assert missing(["label score", "ham 0.98", "last 3 rows"], output) == []
    assert missing(["ham 0.70"], output) == ["ham 0.70"]
    assert missing(["spam 0.9951"], output) == ["spam 0.9951"]
    assert missing(["last 4 rows"], output) == ["last 4 rows"]
    assert missing(["last 3 rows", "first"], output) == ["first"]
