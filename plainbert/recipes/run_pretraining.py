r"""Pre-train BERT on masked words and next sentences.

From scratch, on shards made by create_pretraining_data.py, with the vocabulary that lies there:

    python scripts/bert/run_pretraining.py --model bert_4_256_4 --data 'shards/*.npz' \
        --num_steps 20000 --batch_size 64 --lr 5e-4 --warmup_ratio 0.05 --ckpt_dir runs/own

Go on from published weights with text of your own (domain adaptation), masks drawn anew each epoch:

    python scripts/bert/run_pretraining.py --model_dir all-MiniLM-L6-v2 --raw --data text.txt \
        --data_eval held_out.txt --max_seq_length 128 --num_steps 2000 --batch_size 4096 \
        --use_avg_len --lr 1e-4 --ckpt_dir runs/adapted

Several processes or GPUs; what a checkpoint is worth on other data:

    python scripts/bert/run_pretraining.py --num_local_ranks 2 --data 'shards/*.npz'
    python scripts/bert/run_pretraining.py --gpus 0,1 --data 'shards/*.npz'
    python scripts/bert/run_pretraining.py --data_eval 'held_out/*.npz' --ckpt_dir runs/own

A run that was interrupted goes on with the same command and --resume.

--ckpt_dir gets last and best (model folders that every script opens), older checkpoints as
step-0025000, state-STEP (what --resume needs), metrics.jsonl, log.txt and TensorBoard events.
Next: scripts/bert/embedding.py or scripts/bert/finetune_classifier.py with --model_dir
CKPT_DIR/last.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plainbert.cli import program
from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.pretraining_settings import PretrainingSettings
from plainbert.visible import near

NAME = "run_pretraining"
Settings = PretrainingSettings


@dataclass(frozen=True)
class Pretrained:
    """What the recipe returns.

    Attributes:
        scores: on ``--data_eval``.
        model: folder of the last checkpoint; None where nothing was trained.
        trace: file of ``--profile``.
        rank: of this process, of which rank 0 speaks for all.
    """

    scores: dict[str, dict[str, float]]
    model: Path | None
    trace: str | None
    rank: int


def parse_args(argv: Sequence[str] | None = None, doc: str | None = __doc__) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, doc, argv, refusals("run_pretraining"))


def run(settings: Settings) -> Pretrained:
    """Pre-train, or only score what is held out."""
    from plainbert import files
    from plainbert.infer.evaluation import RESULTS_FILE
    from plainbert.recipes.shared import pretraining
    from plainbert.recipes.shared.ranks import is_restarted, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.pretraining.evaluate import HeldOut, matrix_rate, profiled, step_formatter
    from plainbert.tasks.pretraining.objective import PretrainingObjective
    from plainbert.train.loop import fit
    from plainbert.train.parallel.choose import choose_strategy

    with join(settings) as group:
        assert settings.output_dir is not None
        if is_restarted(group, settings.output_dir):
            settings = dataclasses.replace(settings, resume=True, overwrite=False, start_step=None)
        settings, old = pretraining.from_step(settings)
        if group.rank == 0:  # before the run folder is touched: a wrong name leaves none behind
            pretraining.check_files(settings)
        with start(settings, new_run=settings.trains, group=group, recipe=NAME) as ready:
            assert ready.folder is not None
            last = ready.folder / "last"
            ranks = choose_strategy(settings.dist_strategy, group, settings.grad_compression)
            model, tokenizer = pretraining.open_model(settings, ready.folder, old)
            model.to(ready.device)
            data = pretraining.PretrainingData(settings, model, tokenizer, group, ready.folder)

            # What is held out is scored during training, or alone.
            evaluation = None
            if settings.data_eval:
                held_out = {"eval": data.instances(settings.data_eval, evaluation=True)}
                evaluation = HeldOut(held_out, PretrainingObjective(not settings.no_nsp), ranks)
            if not settings.trains:
                assert evaluation is not None
                scores = evaluation(model)
            else:
                train = data.training()
                # A step's line says how much of the machine's matrix products it had.
                share = train.masked_share()
                rate = matrix_rate(ready.device, ready.dtype)
                line = step_formatter(model.config, share, rate, ranks.size, ready.device)
                loop = pretraining.loop_settings_of(settings, ready.dtype, ranks.size)
                with profiled(settings.profile, train, loop) as (examples, limited):
                    result = fit(
                        model,
                        tokenizer,
                        examples,
                        limited,
                        evaluation=evaluation,
                        folder=None if settings.profile else ready.folder,
                        resume=settings.resume,
                        about={"task": "pretraining", "max_length": int(train.lengths.max())},
                        ranks=ranks,
                        objective=PretrainingObjective(
                            not settings.no_nsp, not settings.no_compute_acc
                        ),
                        formatter=line,
                    )
                if settings.profile:
                    return Pretrained({}, None, settings.profile, group.rank)
                scores = result.scores
            if scores and group.rank == 0:
                files.write_json(ready.folder / RESULTS_FILE, scores)
        return Pretrained(scores, last if settings.trains else None, None, group.rank)


def report(results: Pretrained) -> None:
    """Print the scores and what comes next."""
    if results.rank > 0:
        return
    for name, scores in results.scores.items():
        line = " ".join(f"{key}={score:.5f}" for key, score in scores.items())
        print(f"{name.capitalize()} {line}")
    if results.trace is not None:
        print(f"trace: {results.trace}")
    if results.model is not None:
        print(f"model: {near(results.model)}")
        print(
            f"next: {program.command('finetune_classifier')} --model_dir "
            f"{shlex.quote(near(results.model))} --train_file ..."
        )


def main(argv: Sequence[str] | None = None, doc: str | None = __doc__) -> dict[str, Any]:
    """The command: parse, run, report."""
    settings = parse_args(argv, doc)
    with command.shown(settings, NAME, argv):
        results = run(settings)
        report(results)
        if results.trace is not None:
            return {}
        return {**results.scores, "model": None if results.model is None else str(results.model)}
