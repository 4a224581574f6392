"""Answers after fine-tuning: ours against the ``run_qa`` recipe of ``transformers``.

    python -m benchmarks.quality.squad squad1 squad2 chinese --data DATA
    python -m benchmarks.quality.squad full --data DATA --folder runs/squad
    python -m benchmarks.quality.squad rates --data DATA

DATA holds ``squad/{train-v1.1.json.xz,dev-v1.1.json,dev-v2.0.json}`` and
``drcd/DRCD_{dev,test}.json``. Both sides start from all-MiniLM-L6-v2, get the same questions and
take the same number of epochs, batches of 16 windows, AdamW (epsilon apart: each its default),
linear decay after 10 % warm-up, dropout 0.1, bfloat16 matrix products. The peer is in
``peers/squad.py``; ours is ``finetune_squad.py``, then ``predict_squad.py``, with their other
defaults. The model after the last step counts: no side picks its best. Both sides' answers are
scored by the same functions, which are the official ones'.

squad1: 10,000 questions of SQuAD 1.1 (rows ``i * 87599 // 10000`` of the training set), one epoch,
scored on dev-v1.1.

squad2: dev-v2.0 is cut by article: of every seven articles the third and the sixth are for scoring
(10 articles), the others (25) are trained on, two epochs. ``f1`` is at a threshold of 0,
``best_f1`` at the best one for the scored questions, by the official script's search.

chinese: DRCD, two epochs on its dev set, scored on its test set the way of CMRC 2018. There is no
Chinese BERT among the weights at hand: MiniLM's vocabulary is English, most Chinese characters are
[UNK] to it, scores are low on both sides, and seeds differ much. ``--model`` takes another. Texts
are long here: our windows move on by 128 tokens, as Google's do, the peer's overlap by as many.

full: the whole training set of SQuAD 1.1 by our script alone, one epoch, killed on the way between
two checkpoints and resumed; its run folder is in --folder.

rates: learning rates for all of this, one seed: trained on the questions of squad1, scored on 2,000
others of the training set.

Seconds are kept, but do not compare speeds: the peer is helped (windows of a batch go through it in
four parts of similar length, freed memory is kept), and other work may share the machine. Results
are in ``results/quality/squad.json``, logs in ``results/quality/squad``; what is there is not
repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import opened
from benchmarks.peers import squad as squad_peer
from benchmarks.quality.runs import RESULTS, Results, Scores, begun, script
from benchmarks.quality.squad_sets import JOBS, Job, write
from plainbert import files
from plainbert.tasks.squad import scores as metrics
from plainbert.tasks.squad.result_files import PREDICTIONS
from plainbert.train.memory import keep_freed

BATCH, RATE = 16, 2e-4
PARTS = 4  # of a batch of the peer, each of similar length: less padding
RATES = (1e-4, 2e-4, 4e-4)
SAVES = 10  # checkpoints of the full run


def training(args: argparse.Namespace, job: Job, folder: Path, seed: int, lr: float) -> list[Any]:
    """Write the training questions; the flags of our script."""
    write(folder / "train.json", job.train)
    return [
        "--model_dir",
        args.model,
        "--train_file",
        folder / "train.json",
        "--output_dir",
        folder / "run",
        "--optimizer",
        "adamw",
        "--lr",
        lr,
        "--epochs",
        job.epochs,
        "--batch_size",
        BATCH,
        "--dtype",
        "bfloat16",
        "--threads",
        args.threads,
        "--seed",
        seed,
        *(["--version_2"] if job.version_2 else []),
    ]


def predicted(args: argparse.Namespace, job: Job, folder: Path, log: Path) -> Scores:
    """Answers of the model that our script trained, and their scores."""
    write(folder / "test.json", job.test)
    script(
        log,
        "predict_squad",
        "--model_dir",
        folder / "run" / "last",
        "--file",
        folder / "test.json",
        "--output_dir",
        folder / "said",
        "--overwrite",
        "--dtype",
        "bfloat16",
        "--threads",
        args.threads,
    )
    said = folder / "said"
    text: dict[str, str] = files.read_json(said / PREDICTIONS)
    if not job.version_2:
        return score(job, squad_peer.Said(text, {}))
    nbest: dict[str, list[dict[str, Any]]] = files.read_json(said / "nbest_predictions.json")
    best = {
        key: next((span["text"] for span in spans if span["text"]), "")
        for key, spans in nbest.items()
    }
    return score(job, squad_peer.Said(best, files.read_json(said / "null_odds.json")))


def score(job: Job, said: squad_peer.Said) -> Scores:
    """Official scores; for texts without blanks those of CMRC 2018."""
    gold = {
        each.id: [answer.text for answer in each.answers]
        for each in job.test
        if each.answers or (job.version_2 and each.impossible)
    }
    if job.version_2:
        lowest = min(said.null_odds.values()) - 1
        return metrics.squad_v2(gold, said.text, said.null_odds, 0.0, lowest)
    by_words = metrics.scoring_of(gold) == metrics.WORDS
    return (metrics.squad_v1 if by_words else metrics.by_characters)(gold, said.text)


def ours(args: argparse.Namespace, job: Job, seed: int, lr: float, log: Path) -> Scores:
    """Fine-tune and answer with our scripts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script(log, "finetune_squad", *training(args, job, folder, seed, lr))
        return predicted(args, job, folder, log)


def peer(args: argparse.Namespace, job: Job, seed: int, lr: float, log: Path) -> Scores:
    """Fine-tune and answer as ``run_qa`` does."""
    import torch

    torch.set_num_threads(args.threads)
    keep_freed()
    recipe = squad_peer.Recipe(BATCH, lr, job.epochs, padded=False, parts=PARTS, seed=seed)
    model, tokenizer = squad_peer.open_peer(args.model, seed)
    asked = [each for each in job.train if each.impossible or each.target]
    squad_peer.train(model, squad_peer.windows(tokenizer, asked, True), recipe, log)
    found = score(job, squad_peer.predict(model, tokenizer, job.test, recipe))
    with opened(log) as file:
        print(json.dumps(found), file=file)
    return found


def interrupted(args: argparse.Namespace, job: Job, seed: int, lr: float, log: Path) -> Scores:
    """Train with our script, kill it between two checkpoints, go on, and answer.

    ``training_seconds`` are those of the killed part and of the last one: all, unless something
    else broke the run off and it was resumed more than once.
    """
    folder = args.folder
    run, note = folder / "run", folder / "interrupted.json"
    folder.mkdir(parents=True, exist_ok=True)
    words = training(args, job, folder, seed, lr)
    words += ["--save_steps", max(1, len(job.train) * job.epochs // (BATCH * SAVES))]
    words += ["--log_interval", max(1, len(job.train) * job.epochs // (BATCH * SAVES * 5))]
    if not note.exists():
        start = time.perf_counter()
        with opened(log) as file:
            process = begun(file, "finetune_squad", *words, "--overwrite")
            while _steps(run)[0] == 0 or _steps(run)[1] <= _steps(run)[0]:
                if process.poll() is not None:
                    raise SystemExit(f"error: it ended before it was killed; see {log}")
                time.sleep(0.2)
            process.kill()
            process.wait()
        saved, logged = _steps(run)
        seconds = round(time.perf_counter() - start, 1)
        before = {"saved": saved, "killed_after": logged, "seconds": seconds, "resumed": 0}
        files.write_json(note, before)
    before = files.read_json(note)
    before["resumed"] += 1
    files.write_json(note, before)
    seconds = script(log, "finetune_squad", *words, "--resume")
    return {
        **predicted(args, job, folder, log),
        "resumed_from_step": before["saved"],
        "killed_after_step": before["killed_after"],
        "resumed_times": before["resumed"],
        "training_seconds": round(before["seconds"] + seconds, 1),
    }


def _steps(run: Path) -> tuple[int, int]:
    """The last step that was saved, and the last one in the log; 0 without any."""
    last, records = run / "last", run / "metrics.jsonl"
    saved = int(last.resolve().name.rpartition("-")[2]) if last.exists() else 0
    lines = records.read_text().splitlines() if records.exists() else []
    return saved, max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


SIDES = {"ours": ours, "peer": peer}
ONCE = ("full", "rates")  # with the first seed only


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=JOBS)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--folder", type=Path, default=Path("runs/squad"), help="of the full run")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="both sides start from it")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--lr", type=float, default=RATE, help=f"learning rate ({RATE:g})")
    parser.add_argument("--threads", type=int, default=2, help="of torch (2)")
    parser.add_argument("--limit", type=int, help="so many questions of each set, for a trial")
    parser.add_argument("--out", type=Path, help="folder for results and logs (results/quality)")
    args = parser.parse_args(argv)
    out: Path = args.out or RESULTS
    results = Results(out / "squad.json", "transformers")
    for part in args.parts:
        job = JOBS[part](args.data).first(args.limit)
        settings = {"model": args.model, "batch_size": BATCH, **job.size()}
        if part != "rates":
            settings["lr"] = args.lr
        works = {"ours": interrupted} if part == "full" else {key: SIDES[key] for key in args.sides}
        for seed, (side, work), lr in itertools.product(
            args.seeds[:1] if part in ONCE else args.seeds,
            works.items(),
            RATES if part == "rates" else [args.lr],
        ):
            name = f"{side} {lr:g}" if part == "rates" else side
            log = out / "squad" / f"{part}-{name.replace(' ', '-')}-{seed}.log"
            results.run(part, name, seed, settings, partial(work, args, job, seed, lr, log))


if __name__ == "__main__":
    main()
