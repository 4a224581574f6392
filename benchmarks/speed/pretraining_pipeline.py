"""What pre-training waits for: making batches, and the start of a run.

    python -m benchmarks.speed.pretraining_pipeline
    python -m benchmarks.speed.pretraining_pipeline --text my_text.txt --megabytes 10000 --copy
    python -m benchmarks.speed.pretraining_pipeline --device cuda

First, tokens per second of the input pipeline alone, on one core, over whole epochs: from the
numbers that the sampler draws to tensors; of shards, and of text whose masks are drawn anew. In
turns with it, in the same process, the training step of the model (``--threads`` cores, bfloat16,
dropout 0.1) on batches that are ready. A ratio of 20 means that the step waits 5 % of the time.

Second, seconds from the start of ``run_pretraining.py`` until its first step is logged, and until
it has ended, with a checkpoint of that step: on one small shard; on so many links to a larger one
that they make ``--megabytes`` (``--copy``: copies, which need that space); and on text (``--raw``),
which is tokenised the first time. What the runs read was written just before: it is in memory,
unless it is larger than that.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import ROOT
from benchmarks.peers import pretraining as peer
from plainbert.cli.run import run as run_script
from plainbert.config import BertConfig
from plainbert.corpus.tokens import Reading
from plainbert.tasks.pretraining.build import build
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.tasks.pretraining.shards import Shards

LENGTH = 128
MODEL = {"cpu": "bert_4_256_4", "cuda": "bert_12_768_12"}
TOKENS = {"cpu": 4096, "cuda": 32768}  # of a step
FIRST_STEP = re.compile(r"\[step 1\]")
SHARDS, RAW, STEP = "shards", "raw text", "step"


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add = parser.add_argument
    add(
        "--text",
        type=Path,
        default=peer.SAMPLE,
        help="a sentence per line, a blank line between documents (the novels in data/)",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where the steps are (cpu)")
    add("--model", help=f"whose steps ({MODEL['cpu']}; on a GPU {MODEL['cuda']})")
    add("--batch_tokens", type=int, help="of a step (4096; on a GPU 32768)")
    add("--steps", type=int, default=8, help="of the model in one turn (8)")
    add("--passes", type=int, default=20, help="over the text, in the large shard (20)")
    add("--megabytes", type=int, default=2000, help="of the large corpus (2000)")
    add("--copy", action="store_true", help="make it of copies, not of hard links")
    add("--raw_copies", type=int, default=20, help="of the text, for the start with --raw (20)")
    add("--repeats", type=int, default=3, help="timed turns, and starts of each kind (3)")
    add("--threads", type=int, default=2, help="of the step, and of the started runs (2)")
    add("--name", help="results/speed/NAME.json (pretraining_pipeline; on a GPU with _cuda)")
    args = parser.parse_args(argv)
    args.model = args.model or MODEL[args.device]
    args.batch_tokens = args.batch_tokens or TOKENS[args.device]
    args.name = args.name or f"pretraining_pipeline{'_cuda' if args.device == 'cuda' else ''}"
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write; returns what was written."""
    args = parse_args(argv)
    peer.check_device(args.device)
    with tempfile.TemporaryDirectory(prefix="pretraining_pipeline") as name:
        folder = Path(name)
        small, large = (make_shard(args, folder, passes) for passes in (1, args.passes))
        result = {
            "what": "input pipeline of pre-training against its step; start of a run",
            "versions": measure.versions("numpy"),
            "corpus": args.text.name,
            "max_seq_length": LENGTH,
            "model": args.model,
            "device": args.device,
            "batch_tokens": args.batch_tokens,
            "repeats": args.repeats,
            "threads_of_step": args.threads,
            "pipeline": pipeline(args, folder, large),
            "start": starts(args, folder, small, large),
        }
    measure.save(f"speed/{args.name}", result)
    return result


def make_shard(args: argparse.Namespace, folder: Path, passes: int) -> Path:
    """One shard of the text."""
    made = folder / f"shards-{passes}"
    settings = peer.masking(LENGTH, passes)
    build([args.text], Reading(peer.vocabulary()), settings, made, num_outputs=1, bar=False)
    return made / "part-000.npz"


def pipeline(args: argparse.Namespace, folder: Path, shard: Path) -> dict[str, Any]:
    """Rates of both sources and of the step, in turns."""
    import torch

    from plainbert.batching.sampler import Sampler
    from plainbert.tasks.pretraining.features import Instances

    torch.manual_seed(0)
    device = torch.device(args.device)
    vocabulary = peer.vocabulary()
    raw = RawText.of([str(args.text)], vocabulary, peer.masking(LENGTH), folder, bar=False)
    shards = Shards.open([str(shard)], vocabulary.vocab, verify=True)

    def epochs(source: Shards | RawText) -> tuple[Callable[[], None], Sampler]:
        data = Instances(source)
        sampler = Sampler(data.lengths, args.batch_tokens, 0, tokens=True)

        def batches() -> Iterator[None]:
            for step in range((args.repeats + 1) * sampler.steps_per_epoch):
                for part in sampler.batch(step):
                    data.batch(part, sampler.epoch(step), device)
                if (step + 1) % sampler.steps_per_epoch == 0:
                    yield

        turns = batches()

        def turn() -> None:
            torch.set_num_threads(1)
            next(turns)
            _finish(device)

        return turn, sampler

    shards_turn, sampler = epochs(shards)
    raw_turn, _ = epochs(raw)
    ready = [
        Instances(shards).batch(part, 0, device)
        for step in range(args.steps)
        for part in sampler.batch(step % sampler.steps_per_epoch)
    ]
    step = _stepper(args)

    def step_turn() -> None:
        torch.set_num_threads(args.threads)
        for number, batch in enumerate(ready):
            step(number, [batch], peer.LR)
        _finish(device)

    seconds = measure.interleaved(
        {SHARDS: shards_turn, RAW: raw_turn, STEP: step_turn}, args.repeats
    )
    tokens = {
        SHARDS: shards.num_tokens, RAW: int(raw.lengths.sum()),
        STEP: sum(batch.layout.num_tokens for batch in ready),
    }  # fmt: skip
    speed = {name: tokens[name] / measure.median(each) for name, each in seconds.items()}
    result: dict[str, Any] = {
        "mean_length": round(shards.num_tokens / len(shards), 1),
        "tokens_of_a_turn": tokens,
        "tokens_per_second": {name: round(each) for name, each in speed.items()},
        "seconds": {name: [round(s, 3) for s in each] for name, each in seconds.items()},
        "ratio": {
            f"{name} / {STEP}": round(speed[name] / speed[STEP], 1) for name in (SHARDS, RAW)
        },
    }
    print(f"{args.model}, {result['mean_length']} tokens per instance on average")
    for name, each in speed.items():
        print(f"  {name:10} {each:13,.0f} tokens/s")
    for name, ratio in result["ratio"].items():
        print(f"  {ratio:6.1f}  {name}", flush=True)
    shards.close()
    return result


def _stepper(args: argparse.Namespace) -> Callable[..., Any]:
    """The training step of a fresh model."""
    import torch

    from plainbert.nn.pretraining_heads import Pretraining
    from plainbert.tasks.pretraining.objective import PretrainingObjective
    from plainbert.train.module_state import ModuleState
    from plainbert.train.optim import Optimizer
    from plainbert.train.step import Scaler, Stepper

    model = Pretraining(BertConfig.from_name(args.model)).to(args.device).train()
    optimizer = Optimizer("adamw", model.named_parameters())
    modules = ModuleState(model, torch.bfloat16)
    return Stepper(modules, optimizer, Scaler(), objective=PretrainingObjective()).step


def _finish(device: Any) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize()


def starts(args: argparse.Namespace, folder: Path, small: Path, large: Path) -> dict[str, Any]:
    """Seconds to the first step of runs on corpora of several sizes."""
    many = folder / "many"
    many.mkdir()
    count = max(1, round(args.megabytes * 1e6 / large.stat().st_size))
    for number in range(count):
        (shutil.copyfile if args.copy else os.link)(large, many / f"{number:06}.npz")
    text = folder / "text"
    text.mkdir()
    for number in range(args.raw_copies):
        shutil.copyfile(args.text, text / f"{number:06}{''.join(args.text.suffixes)}")
    found: dict[str, Any] = {}
    for name, data, source in (
        ("small", [small], ()),
        ("large", sorted(many.iterdir()), ()),
        ("raw, first time", sorted(text.iterdir()), ("--raw",)),
        ("raw, again", sorted(text.iterdir()), ("--raw",)),
    ):
        run = folder / ("run-raw" if source else "run")  # tokens of text are kept in there
        words = ("--data", f"{data[0].parent}/*{data[0].suffix}", "--ckpt_dir", str(run), *source)
        repeats = 1 if name == "raw, first time" else args.repeats
        runs = [start(args, words) for _ in range(repeats)]
        first, whole = (measure.median(each) for each in zip(*runs, strict=True))
        found[name] = {
            "files": len(data),
            "megabytes": round(sum(path.stat().st_size for path in data) / 1e6, 1),
            "seconds_to_first_step": round(first, 2),
            "seconds_to_end": round(whole, 2),
            "runs": [round(each[0], 2) for each in runs],
        }
        print(
            f"start, {name}: {found[name]['files']} files, {found[name]['megabytes']} MB: "
            f"{first:.2f} s to the first step, {whole:.2f} s in all",
            flush=True,
        )
    return {"large_corpus": "copies" if args.copy else "links to one file", **found}


def start(args: argparse.Namespace, words: Sequence[str]) -> tuple[float, float]:
    """Run one step; seconds until it is logged, and until the process has ended."""
    device = () if args.device == "cuda" else ("--gpus", "")
    command = [
        sys.executable, str(ROOT / "scripts/bert/run_pretraining.py"), "--model", args.model,
        "--vocab", str(_vocabulary_folder()), "--max_seq_length", str(LENGTH), "--num_steps", "1",
        "--batch_size", str(args.batch_tokens), "--use_avg_len", "--log_interval", "1",
        "--threads", str(args.threads), "--overwrite", *device, *words,
    ]  # fmt: skip
    begin, first, lines = time.perf_counter(), 0.0, []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if not first and FIRST_STEP.search(line):
            first = time.perf_counter() - begin
    if process.wait() or not first:
        raise RuntimeError(f"{' '.join(command)}\n{''.join(lines)[-4000:]}")
    return first, time.perf_counter() - begin


def _vocabulary_folder() -> Path:
    from plainbert.model_zoo import resolve

    return Path(resolve(peer.VOCABULARY))


if __name__ == "__main__":
    run_script(main)
