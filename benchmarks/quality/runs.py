"""What benchmarks of scores share: results kept as they come, and our scripts as processes."""

from __future__ import annotations

import fcntl
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from benchmarks import measure
from benchmarks.measure import ROOT, opened
from plainbert import files

RESULTS = measure.RESULTS / "quality"
Scores = dict[str, Any]
FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:,'\"]+/)+")  # of absolute paths


class Results:
    """A file of results: written after every run; a run that is in it is not repeated.

    Several processes may add to one file, each doing other runs.

    Args:
        path: of the file, a .json.
        packages: whose versions are noted, beside torch's.
    """

    def __init__(self, path: Path, *packages: str) -> None:
        self.path, self.packages = path.resolve(), packages

    def run(
        self,
        part: str,
        side: str,
        seed: int,
        settings: Mapping[str, Any],
        work: Callable[[], Scores],
    ) -> Scores:
        """Do one run, unless it is done, and keep its scores beside those of other seeds.

        Args:
            part: what is measured.
            side: whose run it is.
            seed: of the run.
            settings: what all runs of the part have in common.
            work: does it; numbers among what it returns get a mean and a deviation.

        Raises:
            SystemExit: runs of this part were kept that had other settings.
        """
        wanted = json.loads(json.dumps(settings))
        entry = self._parts().get(part, {"settings": wanted})
        if entry["settings"] != wanted:
            raise SystemExit(
                f"error: {self.path.name} has runs of {part!r} with the settings "
                f"{entry['settings']}, not {wanted}. Take that part out of the file, or give "
                "another --out."
            )
        found: Scores | None = entry.get(side, {}).get("runs", {}).get(str(seed))
        done = " (done before)" if found else ""
        if found is None:
            start = time.perf_counter()
            found = {**work(), "seconds": round(time.perf_counter() - start, 1)}
            self._keep(part, side, seed, wanted, found)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in _numbers(found))
        print(f"{part}, {side}, seed {seed}{done}: {shown}", flush=True)
        return found

    def _parts(self) -> dict[str, Any]:
        parts = files.read_json(self.path) if self.path.exists() else {}
        return {key: each for key, each in parts.items() if key not in ("machine", "versions")}

    def _keep(
        self, part: str, side: str, seed: int, settings: Mapping[str, Any], found: Scores
    ) -> None:
        """Add a run to what the file holds by now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            parts = self._parts()
            entry = parts.setdefault(part, {"settings": settings})
            runs = {**entry.get(side, {}).get("runs", {}), str(seed): found}
            entry[side] = {**_summary(runs), "runs": dict(sorted(runs.items()))}
            versions = measure.versions(*self.packages)
            measure.save(self.path.with_suffix(""), {"versions": versions, **parts})
        finally:
            os.close(folder)


def _numbers(found: Scores) -> Iterator[tuple[str, float]]:
    return ((key, value) for key, value in found.items() if isinstance(value, int | float))


def _summary(runs: Mapping[str, Scores]) -> dict[str, dict[str, float]]:
    columns: dict[str, list[float]] = {}
    for found in runs.values():
        for key, value in _numbers(found):
            columns.setdefault(key, []).append(value)
    several = {key: statistics.stdev(each) for key, each in columns.items() if len(each) > 1}
    return {
        "mean": {key: statistics.mean(each) for key, each in columns.items()},
        "deviation": {key: several.get(key, 0.0) for key in columns},
    }


def begun(log: TextIO, name: str, *words: object) -> subprocess.Popen[bytes]:
    """One of our scripts, started; the log gets its command line and what it prints."""
    log.write(f"$ {name}.py {' '.join(map(str, words))}\n")
    log.flush()
    line = [sys.executable, str(ROOT / "scripts/bert" / f"{name}.py"), *map(str, words)]
    return subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)


def script(log: Path, name: str, *words: object) -> float:
    """Run one of our scripts; what it prints is added to a file, with short paths. Seconds.

    Raises:
        CalledProcessError: it failed; the file says why.
    """
    start = time.perf_counter()
    with opened(log) as file:
        process = begun(file, name, *words)
    status = process.wait()
    log.write_text(FOLDERS.sub("", log.read_text(encoding="utf-8")), encoding="utf-8")
    if status:
        raise subprocess.CalledProcessError(status, f"{name}.py, see {log}")
    return time.perf_counter() - start
