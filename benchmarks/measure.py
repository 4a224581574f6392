"""What all benchmarks share: the machine, turns and medians, where results and logs go."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from plainbert import files

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, memory, versions, date."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    field = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = field.get("flags", "").split()
    kept = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return {
        "processor": field.get("model name", platform.processor()),
        "instructions": kept,
        "cores": len(os.sched_getaffinity(0)),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of the packages compared."""
    return {name: importlib.metadata.version(name) for name in ("torch", *packages)}


def interleaved(
    contenders: dict[str, Callable[[], Any]], repeats: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Seconds of each contender's runs, taken in turns so that a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warmup + repeats):
        for name, run in contenders.items():
            start = perf_counter()
            run()
            if turn >= warmup:
                seconds[name].append(perf_counter() - start)
    return seconds


def median(values: Iterable[float]) -> float:
    """Median of some repeats."""
    return statistics.median(values)


def resident_mb() -> float:
    """Memory of this process now, in 1e6 bytes."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


def save(name: str | Path, result: dict[str, Any]) -> Path:
    """Write the result with the machine as JSON, and print where.

    Args:
        name: below ``results/``, or an absolute path; without ``.json``.
        result: what was measured.
    """
    path = RESULTS / f"{name}.json"
    files.write_json(path, {"machine": machine(), **result})
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def opened(log: Path) -> TextIO:
    """A file to which what a run prints is added."""
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("a", encoding="utf-8")


def environment_of_modules() -> dict[str, str]:
    """This process's variables, with which ``python -m benchmarks...`` starts in any folder."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class Contender:
    """A process of its own, so that memory and threads are its own. It waits for its turns.

    It prints a line that begins with "ready" when it has started, then reads lines, one for each
    turn, and prints what came of it as a JSON object.

    Args:
        name: for messages.
        words: a module (``benchmarks.speed.finetune``) and its arguments.
        environment: variables to set.

    Attributes:
        last: what it said last.
    """

    def __init__(self, name: str, words: Sequence[str], **environment: str) -> None:
        self._name, self._log = name, tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
            env={**environment_of_modules(), "TOKENIZERS_PARALLELISM": "false", **environment},
        )  # fmt: skip
        self.last: dict[str, Any] = {}
        self._expect()  # one starts after the other: loading must not disturb a measurement

    def run(self, turn: object) -> dict[str, Any]:
        """Take a turn; what came of it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: said below
            print(turn, file=self._process.stdin, flush=True)
        self.last = json.loads(self._expect())
        return self.last

    def close(self) -> None:
        """End it."""
        self._process.communicate()
        self._log.close()

    def _expect(self) -> str:
        """Its next line; libraries print lines of their own before it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("ready", "{")):
                return line
        status = self._process.wait()
        self._log.seek(0)
        raise RuntimeError(f"{self._name} died ({status}):\n{self._log.read()[-4000:]}")
