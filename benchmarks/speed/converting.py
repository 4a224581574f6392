"""Converting BERT-large between formats: seconds and memory of ``convert_checkpoint.py``.

    python -m benchmarks.speed.converting
    python -m benchmarks.speed.converting --model bert_12_768_12

A random model is written as a folder; then the script converts it to each format, and each of those
back, in a process of its own. Seconds are the whole command's, with start and imports. Memory is
the most that was resident in anonymous pages, and (peak) with the mapped pages of the source, which
the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import ROOT
from benchmarks.speed import opening
from plainbert.config import BertConfig

SCRIPT = ROOT / "scripts" / "bert" / "convert_checkpoint.py"


def resident(process: int) -> tuple[int, int]:
    """Bytes of a process in anonymous pages, and in all pages."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: line.split() for line in lines}
    if "RssAnon" not in sizes:
        return 0, 0
    return int(sizes["RssAnon"][1]) * 1024, int(sizes["VmRSS"][1]) * 1024


def convert(source: Path, target: Path, form: str) -> dict[str, float]:
    """Run the script once and watch it."""
    command = [sys.executable, str(SCRIPT), "--from", str(source), "--to", str(target)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--format", form], stderr=subprocess.DEVNULL)
    anonymous = most = 0
    while process.poll() is None:
        now = resident(process.pid)
        anonymous, most = max(anonymous, now[0]), max(most, now[1])
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"converting to {form} failed")
    return {"seconds": time.perf_counter() - start, "anonymous": anonymous, "peak": most}


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bert_24_1024_16", help="size of the random model")
    args = parser.parse_args(argv)
    turns: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = opening.make(folder / "source", BertConfig.from_name(args.model))
        size = (source / "model.safetensors").stat().st_size
        for form in ("gluonnlp", "tensorflow", "pytorch"):
            there = folder / f"uncased_{form}"
            turns[f"huggingface -> {form}"] = convert(source, there, form)
            turns[f"{form} -> huggingface"] = convert(there, folder / f"b_{form}", "huggingface")
            for path in (there, folder / f"b_{form}"):
                subprocess.run(["rm", "-r", str(path)], check=True)
    for what, turn in turns.items():
        print(
            f"{what:28} {turn['seconds']:6.1f} s   {turn['anonymous'] / size:.2f} of its size in "
            f"memory, {turn['peak'] / size:.2f} with the mapped source"
        )
    result = {"model": args.model, "bytes": size, "versions": measure.versions(), "turns": turns}
    measure.save("speed/converting", result)
    return result


if __name__ == "__main__":
    main()
