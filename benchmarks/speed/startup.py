"""How long it takes until something happens: ``import plainbert``, and ``--help`` of every script.

    python -m benchmarks.speed.startup

Each command runs in processes of its own; medians are reported, beside a Python that does nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import RESULTS, ROOT
from plainbert import files
from plainbert.cli.parser import Flag, Parser
from plainbert.cli.run import run
from plainbert.cli.values import positive_int


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add(Flag("repeats", positive_int, "Processes per command."), 10)
    output = str(RESULTS / "speed" / "startup.json")
    parser.add(Flag("output", str, "Result file."), output)
    args: argparse.Namespace = parser.parse_args(argv)
    return args


def median(command: list[str], repeats: int) -> float:
    """Median wall time of a command, in seconds, after one run that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(
            command,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import plainbert": [sys.executable, "-c", "import plainbert"],
    }
    for script in sorted((ROOT / "scripts").rglob("*.py")):
        name = str(script.relative_to(ROOT))
        commands[f"{name} --help"] = [sys.executable, name, "--help"]
    result: dict[str, Any] = {
        "python": sys.version.split()[0],
        "date": time.strftime("%Y-%m-%d"),
        "repeats": args.repeats,
        "seconds": {},
    }
    for name, command in commands.items():
        result["seconds"][name] = round(median(command, args.repeats), 3)
        print(f"{name:50} {result['seconds'][name]:.3f} s", flush=True)
    files.write_json(args.output, result)
    return result


if __name__ == "__main__":
    run(main)
