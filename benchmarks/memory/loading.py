"""Memory of one process that opens a model, uses it and drops it, again and again.

    python -m benchmarks.memory.loading
    python -m benchmarks.memory.loading --times 100

Readings are taken after the first, then every ``--every`` times.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from benchmarks import measure
from plainbert.cli.run import run as run_script

TEXTS = ["A heron was fishing.", "We sat on the bank of the river."]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--model_dir", default="all-MiniLM-L6-v2", help="to open (all-MiniLM-L6-v2)")
    add("--times", type=int, default=500, help="to open it (500)")
    add("--every", type=int, default=25, help="times between two readings (25)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    import plainbert

    args = parse_args(argv)
    resident = []
    for time in range(1, args.times + 1):
        plainbert.load(args.model_dir).encode(TEXTS)
        if time in (1, args.times) or time % args.every == 0:
            resident.append((time, measure.resident_mb()))
            print(f"{time}: {resident[-1][1]} MB", flush=True)
    result = {
        "what": "resident memory after opening, using and dropping a model",
        "versions": measure.versions(),
        "model_dir": args.model_dir,
        "times": [time for time, _ in resident],
        "resident_mb": [megabytes for _, megabytes in resident],
        "growth_after_25_mb": round(resident[-1][1] - dict(resident).get(25, resident[0][1]), 1),
    }
    measure.save("memory/loading", result)
    return result


if __name__ == "__main__":
    run_script(main)
