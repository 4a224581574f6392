"""What every benchmark says about its machine, and where its results go."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from plainbert import files

RESULTS = Path(__file__).parent / "results"


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


def save(name: str, result: dict[str, Any]) -> Path:
    """Write ``results/NAME.json`` and print where."""
    path = RESULTS / f"{name}.json"
    files.write_json(path, {"machine": machine(), **result})
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path
