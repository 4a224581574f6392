"""Memory and speed of ``embedding.py`` over many rows: in blocks, beside all rows at once.

    python -m benchmarks.memory.embedding
    python -m benchmarks.memory.embedding --rows 16000 64000 --size bert_2_64_2

The command line runs as a process of its own for every number of rows; its peak memory is what the
system counted for it. Then the same rows go through ``Model.encode`` in one call, whose vectors are
kept in memory until they are written: both take turns, and what they wrote must be equal.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import measure
from plainbert.cli.run import run as run_script

NOVELS = measure.ROOT / "data" / "pretrain" / "en_novels_sample.txt"
WORDS = 8  # of a row: short rows are those that many fit into memory
OWN_MODEL = """
import sys
import torch
from plainbert import checkpoint, load
from plainbert.config import BertConfig
from plainbert.nn.bert import Bert
size, folder = sys.argv[1:]
tokenizer = load("all-MiniLM-L6-v2").tokenizer
torch.manual_seed(0)
model = Bert(BertConfig.from_name(size).replace(vocab_size=len(tokenizer.vocab)))
checkpoint.write(folder, model, tokenizer)
"""
AT_ONCE = """
import sys
import numpy as np
import plainbert
model_dir, rows, output = sys.argv[1:]
texts = open(rows, encoding="utf-8").read().splitlines()
vectors = plainbert.load(model_dir).encode(texts, pooling_strategy="mean")
np.savez(output, text=np.array(texts), vectors=vectors)
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add("--rows", type=int, nargs="+", default=[50_000, 200_000, 1_000_000], help="to embed")
    add("--compared", type=int, default=50_000, help="rows of the comparison of speed (50000)")
    add("--repeats", type=int, default=3, help="timed turns (3)")
    add("--size", default="bert_2_128_2", help="of the model, whose weights are random")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        model_dir = own_model(args.size, work / "model")
        sizes = [memory(model_dir, work, count) for count in args.rows]
        result = {
            "what": "embedding.py over short rows, float32, to .npz: peak memory and speed",
            "versions": measure.versions(),
            "size": args.size,
            "words_per_row": WORDS,
            "blocks": sizes,
            "compared": compared(model_dir, work, args.compared, args.repeats),
        }
    measure.save("memory/embedding", result)
    return result


def own_model(size: str, folder: Path) -> Path:
    """A folder with a model of that size and the vocabulary of all-MiniLM-L6-v2."""
    # In a process of its own: a child's peak memory begins with what its parent had.
    subprocess.run(
        [sys.executable, "-c", OWN_MODEL, size, str(folder)],
        env=measure.environment_of_modules(),
        check=True,
    )
    return folder


def rows_of_text(count: int) -> Iterator[str]:
    """Rows of some words from the novels, from the start again where they end."""
    words = itertools.cycle(NOVELS.read_text(encoding="utf-8").split())
    for _ in range(count):
        yield " ".join(itertools.islice(words, WORDS))


def written(work: Path, count: int) -> Path:
    """A file of that many rows."""
    path = work / "rows.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows_of_text(count))
    return path


def embed(model_dir: Path, rows: Path, output: Path) -> list[str]:
    """The command line."""
    script = measure.ROOT / "scripts" / "bert" / "embedding.py"
    return [
        *[sys.executable, str(script), "--model_dir", str(model_dir), "--file", str(rows)],
        *["--pooling_strategy", "mean", "--output", str(output), "--overwrite"],
    ]


def process(words: Sequence[str]) -> dict[str, float]:
    """Run a process to its end: seconds on the clock and of the processor, peak memory in 1e6 B."""
    with tempfile.TemporaryFile("w+") as log:
        start = perf_counter()
        child = subprocess.Popen(
            words, env=measure.environment_of_modules(), stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}: {log.read()}")
    return {
        "seconds": round(perf_counter() - start, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6, 1),
    }


def memory(model_dir: Path, work: Path, count: int) -> dict[str, float]:
    """What that many rows cost."""
    cost = process(embed(model_dir, written(work, count), work / "blocks.npz"))
    print(f"{count} rows: {cost}", flush=True)
    return {"rows": count, **cost}


def compared(model_dir: Path, work: Path, count: int, repeats: int) -> dict[str, Any]:
    """The command beside one call for all rows, in turns."""
    import numpy as np

    rows = written(work, count)
    words = {
        "in blocks": embed(model_dir, rows, work / "blocks.npz"),
        "at once": [
            sys.executable,
            "-c",
            AT_ONCE,
            str(model_dir),
            str(rows),
            str(work / "all.npz"),
        ],
    }
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in words}
    for turn in range(repeats):
        for name in list(words)[:: 1 if turn % 2 else -1]:
            costs[name].append(process(words[name]))
    difference = np.abs(vectors(work / "blocks.npz") - vectors(work / "all.npz")).max()
    medians = {
        name: {key: measure.median(cost[key] for cost in parts) for key in parts[0]}
        for name, parts in costs.items()
    }
    return {
        "rows": count,
        **medians,
        "seconds_blocks_to_at_once": round(
            medians["in blocks"]["seconds"] / medians["at once"]["seconds"], 3
        ),
        "largest_difference": float(difference),
    }


def vectors(path: Path) -> Any:
    """The vectors of a file."""
    import numpy as np

    with np.load(path) as arrays:
        return next(array for array in (arrays[name] for name in arrays.files) if array.ndim == 2)


if __name__ == "__main__":
    run_script(main)
