r"""Sentence vectors: plainbert against sentence-transformers, from the same weights, on a CPU.

    python -m benchmarks.speed.embed
    python -m benchmarks.speed.embed --repeats 3 --max_samples 512 --file my_texts.txt

Text in, vector out: tokenising, model, pooling and normalising all count. sentence-transformers
runs as its users get it, ``SentenceTransformer(folder).encode(texts)`` with its batches of 32.
Variants take turns in one process, after one untimed round each; medians are reported.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, ROOT
from plainbert import files, text_files
from plainbert.cli.parser import Flag, Parser
from plainbert.cli.run import run
from plainbert.cli.values import positive_int

CORPUS = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
DTYPES = ("float32", "bfloat16")
BLOCK = 25  # calls with one sentence before the next variant takes its turn


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    for flag, default in (
        (Flag("file", str, "Text; its sentences are embedded."), str(CORPUS)),
        (Flag("model_dir", str, "Folder or name of the model."), "all-MiniLM-L6-v2"),
        (Flag("repeats", positive_int, "Timed rounds."), 5),
        (Flag("calls", positive_int, "Timed calls with one sentence, per variant."), 200),
        (Flag("threads", positive_int, "CPU threads."), 2),
        (Flag("max_samples", positive_int, "Use at most so many sentences."), 2048),
        (Flag("output", str, "Result file."), str(RESULTS / "speed" / "embed.json")),
    ):
        parser.add(flag, default)
    args: argparse.Namespace = parser.parse_args(argv)
    return args


def sentences(path: str, most: int) -> list[str]:
    """Sentences of a text in their natural lengths, evenly spaced over it."""
    found = [
        part.strip()
        for _, line in text_files.read_lines(path)
        for part in re.split(r"(?<=[.!?])\s+", line)
        if len(part.split()) > 2
    ]
    step = max(1, len(found) // most)
    return found[::step][:most]


def processor() -> str:
    """Name of the CPU and the instructions that matter for matrix products."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"model name\s*: (.*)", text)
    have = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in text.split()]
    return f"{name[1] if name else 'unknown'} ({', '.join(have)})"


def seconds(work: Callable[[Any], Any], texts: Any) -> float:
    start = time.perf_counter()
    work(texts)
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    texts = sentences(args.file, args.max_samples)

    import numpy as np
    import sentence_transformers
    import torch

    from plainbert import model_zoo
    from plainbert.model import load

    torch.set_num_threads(args.threads)
    folder = str(model_zoo.resolve(args.model_dir))
    variants: dict[str, Callable[[Any], Any]] = {}
    for dtype in DTYPES:
        peer = sentence_transformers.SentenceTransformer(
            folder, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)}
        )
        variants[f"sentence-transformers {dtype}"] = peer.encode
        variants[f"plainbert {dtype}"] = load(folder, dtype=dtype, device="cpu").encode
    vectors = {name: np.asarray(work(texts), np.float64) for name, work in variants.items()}
    rounds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(args.repeats):
        for name, work in variants.items():
            rounds[name].append(seconds(work, texts))
    single: dict[str, list[float]] = {name: [] for name in variants}
    # In blocks, as one program calls one model; each block starts with a call that is not counted.
    for start in range(0, args.calls, BLOCK):
        block = [texts[call % len(texts)] for call in range(start, min(start + BLOCK, args.calls))]
        for name, work in variants.items():
            work(block[0])
            single[name] += [seconds(work, text) for text in block]

    base = "sentence-transformers float32"
    unit = {name: each / np.linalg.norm(each, axis=1)[:, None] for name, each in vectors.items()}
    tokenizer = model_zoo.open_folder(folder).tokenizer
    result: dict[str, Any] = {
        "machine": {"cpu": processor(), "threads": args.threads},
        "date": time.strftime("%Y-%m-%d"),
        "versions": {
            "torch": torch.__version__, "sentence-transformers": sentence_transformers.__version__,
        },
        "model": args.model_dir,
        "corpus": {
            "file": Path(args.file).name,
            "sentences": len(texts),
            "mean_tokens": round(
                statistics.mean(len(ids) + 2 for ids in tokenizer.ids_many(texts)), 1
            ),
        },
        "repeats": args.repeats,
        "variants": {},
    }  # fmt: skip
    for name in variants:
        cosine = (unit[name] * unit[base]).sum(1)
        result["variants"][name] = {
            "sentences_per_second": round(len(texts) / statistics.median(rounds[name]), 1),
            "ratio": round(statistics.median(rounds[base]) / statistics.median(rounds[name]), 2),
            "one_sentence_ms": round(1e3 * statistics.median(single[name]), 2),
            "one_sentence_ratio": round(
                statistics.median(single[base]) / statistics.median(single[name]), 2
            ),
            "cosine_min": round(float(cosine.min()), 7),
            "cosine_mean": round(float(cosine.mean()), 7),
        }
        print(f"{name:32} {result['variants'][name]}", flush=True)
    files.write_json(args.output, result)
    return result


if __name__ == "__main__":
    run(main)
