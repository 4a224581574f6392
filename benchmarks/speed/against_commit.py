"""Embedding, fine-tuning and pre-training of this checkout against those of another commit.

    python -m benchmarks.speed.against_commit 989b785
    python -m benchmarks.speed.against_commit 989b785 --repeats 9 --only embed

Both run the same command lines (``JOBS``) as processes of their own, in turns, after one untimed
turn. Seconds are those of whole processes: start, loading, work, writing. ``start`` embeds one
sentence: what starting costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import measure
from plainbert.cli.run import run as run_script

EMBED = ["embedding.py", "--model_dir", "all-MiniLM-L6-v2", "--pooling_strategy", "mean"]
NOVELS = str(measure.ROOT / "data" / "pretrain" / "en_novels_sample.txt")
SPAM = measure.ROOT / "data" / "sms_spam"
LINES = 4000  # of the novels, to embed
SHARDS = [
    *["create_pretraining_data.py", "--input_file", NOVELS, "--output_dir", "{work}/shards"],
    *["--train_vocab", "4000", "--max_seq_length", "128", "--max_predictions_per_seq", "20"],
]
JOBS = {
    "start": [*EMBED, "--sentences", "One sentence.", "--output", "{out}/vector.npz"],
    "embed": [*EMBED, "--file", "{work}/text.txt", "--output", "{out}/vectors.npz"],
    "finetune": [
        *["finetune_classifier.py", "--model_dir", "all-MiniLM-L6-v2", "--epochs", "1"],
        *["--train_file", str(SPAM / "dev.tsv"), "--dev_file", str(SPAM / "test.tsv")],
        *["--text_columns", "text", "--label_column", "label", "--output_dir", "{out}/spam"],
    ],
    "pretraining_step": [
        *["run_pretraining.py", "--model", "bert_4_256_4", "--data", "{work}/shards/part-*.npz"],
        *["--num_steps", "60", "--batch_size", "16", "--ckpt_dir", "{out}/pretrained"],
    ],
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("commit", help="to compare with")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns (5)")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), help="jobs (all)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        other = work / "checkout"
        subprocess.run(
            ["git", "worktree", "add", "--detach", str(other), args.commit],
            cwd=measure.ROOT, check=True, capture_output=True,
        )  # fmt: skip
        try:
            _run(measure.ROOT, SHARDS, work)
            lines = Path(NOVELS).read_text(encoding="utf-8").splitlines(keepends=True)
            (work / "text.txt").write_text("".join(lines[:LINES]), encoding="utf-8")
            seconds = {job: _race(job, other, work, args.repeats) for job in args.only}
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(other)], cwd=measure.ROOT, check=True
            )
    commits = {"here": _commit("HEAD"), "there": _commit(args.commit)}
    ratio = {job: round(_ratio(times), 3) for job, times in seconds.items()}
    result = {
        "what": "whole processes, seconds; ratio: here / there, median over the pairs",
        "versions": measure.versions("numpy"),
        "commits": commits,
        "seconds": seconds,
        "ratio": ratio,
    }
    for job in ratio:
        here, there = (measure.median(seconds[job][side]) for side in ("here", "there"))
        print(
            f"{job:20} {here:7.2f} s, at {commits['there'][:7]} {there:7.2f} s, ratio {ratio[job]}"
        )
    measure.save("speed/against_commit", result)
    return result


def _race(job: str, other: Path, work: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of a job in both checkouts, in turns."""
    contenders: dict[str, Callable[[], Any]] = {
        "here": partial(_run, measure.ROOT, JOBS[job], work),
        "there": partial(_run, other, JOBS[job], work),
    }
    seconds = measure.interleaved(contenders, repeats)
    return {side: [round(value, 3) for value in values] for side, values in seconds.items()}


def _run(checkout: Path, words: Sequence[str], work: Path) -> None:
    """Run a script of a checkout, with its own library."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        script, *flags = (word.format(work=work, out=out) for word in words)
        done = subprocess.run(
            [sys.executable, str(checkout / "scripts" / "bert" / script), *flags],
            env={**os.environ, "PYTHONPATH": str(checkout)},
            cwd=out,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise SystemExit(f"{checkout.name}: {script} ended with {done.returncode}\n{done.stderr}")


def _ratio(seconds: dict[str, list[float]]) -> float:
    pairs = zip(seconds["here"], seconds["there"], strict=True)
    return measure.median(here / there for here, there in pairs)


def _commit(name: str) -> str:
    words = ["git", "rev-parse", name]
    return subprocess.check_output(words, cwd=measure.ROOT, text=True).strip()


if __name__ == "__main__":
    run_script(main)
