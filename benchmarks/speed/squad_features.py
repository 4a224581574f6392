"""Questions and contexts into windows with answer positions on one core, against ``run_qa``.

    python -m benchmarks.speed.squad_features
    python -m benchmarks.speed.squad_features --file train-v1.1.json --questions 20000

The peer is the recipe of ``transformers``' ``run_qa.py`` example for training features: its fast
tokenizer on one thread over 1000 pairs at a time, with overflowing windows and offsets, then a loop
over the windows that looks for the answer. The ``datasets`` library's writing of the result is left
out, and so is reading the file, for both. Ours starts without anything cached in every run. Both
have windows of 384 tokens; ``run_qa`` lets neighbours overlap by 128, Google's script and ours move
on by 128, which gives long contexts more windows. Runs alternate; medians are compared.
"""

from __future__ import annotations

import os

# The library reads both when it first works; one core for each side.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import ROOT
from benchmarks.peers import squad as squad_peer
from plainbert.model_zoo import resolve
from plainbert.tasks.squad.files import read
from plainbert.tasks.squad.windows import Limits, Windows, prepare
from plainbert.text.reader import read_tokenizer


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    sample = ROOT / "tests" / "fixtures" / "squad" / "dev-v1.1.json"
    parser.add_argument("--file", type=Path, default=sample, help="questions in SQuAD's form")
    parser.add_argument("--questions", type=int, help="use the first N (default: all)")
    parser.add_argument(
        "--model_dir", default="all-MiniLM-L6-v2", help="whose vocabulary (all-MiniLM-L6-v2)"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each side (5)")
    parser.add_argument(
        "--name",
        default="squad_features",
        help="results/speed/NAME.json is written (squad_features)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    from transformers import AutoTokenizer

    folder = resolve(args.model_dir)
    questions = read(args.file, training=True).first(args.questions).trainable(version_2=False)
    tokenizer, peer = read_tokenizer(folder), AutoTokenizer.from_pretrained(str(folder))
    limits = Limits(squad_peer.LENGTH, squad_peer.STRIDE)

    def ours() -> Windows:
        return prepare(tokenizer, questions, limits, labelled=True)

    def theirs() -> list[dict[str, Any]]:
        return squad_peer.windows(peer, questions, labelled=True)

    windows, rows = ours(), theirs()
    same, compared = agree(windows, rows)
    seconds = measure.interleaved({"plainbert": ours, "run_qa": theirs}, args.repeats)
    medians = {name: measure.median(runs) for name, runs in seconds.items()}
    contexts = {each.context for each in questions}
    result = {
        "what": "questions into windows with answer positions, one core",
        "versions": measure.versions("transformers", "tokenizers"),
        "corpus": {
            "file": args.file.name,
            "questions": len(questions),
            "contexts": len(contexts),
            "mean_characters": round(sum(map(len, contexts)) / len(contexts), 1),
            "mean_tokens": round(len(windows.features.ids) / len(windows), 1),
        },
        "windows": {"plainbert": len(windows), "run_qa": len(rows)},
        "single_windows_compared": compared,
        "single_windows_equal": same,
        "repeats": args.repeats,
        "seconds": {name: [round(run, 4) for run in runs] for name, runs in seconds.items()},
        "questions_per_second": {
            name: round(len(questions) / run) for name, run in medians.items()
        },
        "ratio": round(medians["run_qa"] / medians["plainbert"], 2),
    }
    measure.save(f"speed/{args.name}", result)
    print(f"{len(questions)} questions about {len(contexts)} contexts of {args.file.name}")
    print(f"of {compared} questions with one window, {same} are equal in ids and positions")
    for name, speed in result["questions_per_second"].items():  # type: ignore[attr-defined]
        print(f"{name:>10}: {speed:8d} questions/s")
    print(f"ratio {result['ratio']}")
    return result


def agree(windows: Windows, rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """How many of the questions that have one window on both sides are equal, and of how many."""
    features, labels = windows.features, windows.features.labels
    assert labels is not None
    own: dict[int, list[int]] = {}
    for row, question in enumerate(windows.question.tolist()):
        own.setdefault(question, []).append(row)
    other: dict[int, list[dict[str, Any]]] = {}
    for each in rows:
        other.setdefault(each["question"], []).append(each)
    same = compared = 0
    for question, mine in own.items():
        if len(mine) == len(other[question]) == 1:
            compared += 1
            row, theirs = mine[0], other[question][0]
            label = list(theirs["labels"])
            same += features.row(row) == theirs["input_ids"] and labels[row].tolist() == label
    return same, compared


if __name__ == "__main__":
    main()
