"""What run_pretraining.py and run_pretraining_hvd.py do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert import files, model_zoo
from plainbert.checkpoint import step_name
from plainbert.distributed.group import Group
from plainbert.errors import DataError, UsageError
from plainbert.infer.evaluation import RESULTS_FILE, Scores
from plainbert.nn.headed import Headed
from plainbert.recipes.shared.models import OVERRIDES, name_of
from plainbert.recipes.shared.ranks import join, restarted
from plainbert.recipes.shared.settings import settings_of
from plainbert.recipes.shared.start import Run, start
from plainbert.recipes.shared.vocabulary import FLAGS, tokenizer_of
from plainbert.tasks.pretraining.evaluate import HeldOut, SameLength, by_step, matrix_rate, profiled
from plainbert.tasks.pretraining.features import Instances
from plainbert.tasks.pretraining.objective import PretrainingObjective
from plainbert.tasks.pretraining.plan import Settings as Masking
from plainbert.tasks.pretraining.raw_text import RawText
from plainbert.tasks.pretraining.shards import Shards, found
from plainbert.text.reader import read_tokenizer
from plainbert.text.tokenizer import Tokenizer
from plainbert.train import run_folder
from plainbert.train.loop import fit
from plainbert.train.parallel.choose import choose_strategy
from plainbert.train.parallel.strategy import ParallelStrategy
from plainbert.train.settings import Settings


def main(args: argparse.Namespace, script: str, argv: Sequence[str] | None) -> dict[str, Any]:
    """Pre-train, or evaluate only.

    Args:
        args: parsed by :mod:`plainbert.recipes.shared.pretraining_flags`.
        script: path of the script.
        argv: its words; ``sys.argv[1:]`` when None.

    Returns:
        the scores on ``--data_eval``, and the checkpoint.
    """
    with join(args, script, argv) as group:
        if restarted(args, group):
            args.start_step = None
        old = _old_checkpoint(args)
        with start(args, new_run=_trains(args), group=group, script=script) as ready:
            return _Job(args, ready, group, old).run()


def _old_checkpoint(args: argparse.Namespace) -> Path | None:
    """GluonNLP's file of ``--start_step``; None where it is ours, or none was asked for.

    Raises:
        UsageError: there is neither.
    """
    if args.start_step is None:
        return None
    folder = Path(args.output_dir)
    old = folder / f"{args.start_step:07d}.params"
    if (folder / step_name(args.start_step)).is_dir():
        if args.overwrite:
            raise UsageError("--start_step and --overwrite exclude each other: give one of them.")
        args.resume = True
        return None
    if old.is_file():
        return old
    there = [path.name for path in run_folder.checkpoints(folder)] or ["none"]
    raise UsageError(
        f"--start_step {args.start_step}: {folder} has no checkpoint of that step (there: "
        f"{', '.join(there)}). Without --start_step a new run begins; --resume goes on from the "
        "newest."
    )


def _trains(args: argparse.Namespace) -> bool:
    return bool(args.data) or args.dummy_data_len is not None


class _Job:
    """One command."""

    def __init__(
        self, args: argparse.Namespace, ready: Run, group: Group, old: Path | None
    ) -> None:
        assert ready.folder is not None
        self.old = old  # GluonNLP's weights to go on from
        self.args, self.ready, self.group, self.folder = args, ready, group, ready.folder
        self.ranks: ParallelStrategy = choose_strategy(
            args.dist_strategy, group, args.grad_compression
        )
        self.model, self.tokenizer = self.open()
        self.model.to(ready.device)
        self.objective = PretrainingObjective(not args.no_nsp, not args.no_compute_acc)

    def run(self) -> dict[str, Any]:
        """Train and evaluate."""
        args, folder = self.args, self.folder
        sets = {"eval": self.instances(args.data_eval, evaluation=True)} if args.data_eval else {}
        evaluation = (
            HeldOut(sets, PretrainingObjective(not args.no_nsp), self.ranks) if sets else None
        )
        if not _trains(args):
            assert evaluation is not None
            return self.report(evaluation(self.model), None)
        if args.dummy_data_len is not None:
            masked = max(1, round(args.masked_lm_prob * args.dummy_data_len))
            source = SameLength(args.dummy_data_len, masked, len(self.tokenizer.vocab))
            train = Instances(source)
        else:
            train = self.instances(args.data)
        settings = self.settings()
        share = train.masked_share()
        rate = matrix_rate(self.ready.device, self.ready.dtype)
        line = by_step(self.model.config, share, rate, self.ranks.size, self.ready.device)
        with profiled(args.profile, train, settings) as (data, limited):
            result = fit(
                self.model,
                self.tokenizer,
                data,
                limited,
                evaluation=evaluation,
                folder=None if args.profile else folder,
                resume=args.resume,
                about={"task": "pretraining", "max_length": int(train.lengths.max())},
                ranks=self.ranks,
                objective=self.objective,
                formatter=line,
            )
        if args.profile:
            print(f"trace: {args.profile}")
            return {}
        return self.report(result.scores, folder / "last")

    def open(self) -> tuple[Headed, Tokenizer]:
        """The model to start from and the vocabulary."""
        args = self.args
        head = "masked_lm" if args.no_nsp else "pretraining"
        changes = {
            field: getattr(args, flag)
            for flag, field in OVERRIDES.items()
            if getattr(args, flag) is not None
        }
        last = self.folder / "last"
        if self.old is not None:
            self.ready.log.warning(
                "%s has the weights; the optimizer's state beside it is a pickle of MXNet's, which "
                "is not opened: its moments begin at 0.",
                self.old,
            )
            opened = model_zoo.open_folder(
                self.old, head, lower=args.do_lower_case, dataset_name=args.bert_dataset, **changes
            )
            return opened.headed, opened.tokenizer
        if args.model_dir or args.pretrained or (not _trains(args) and not last.exists()):
            if not (args.model_dir or args.pretrained):
                raise UsageError(
                    f"{self.folder} holds no checkpoint to evaluate. Give its folder with "
                    "--ckpt_dir, or a model with --model_dir or --pretrained."
                )
            opened = model_zoo.open_folder(
                name_of(args),
                head,
                fresh_head=_trains(args),
                lower=args.do_lower_case,
                dataset_name=args.bert_dataset,
                **changes,
            )
            return opened.headed, opened.tokenizer
        if not _trains(args):
            opened = model_zoo.open_folder(last, head, **changes)
            return opened.headed, opened.tokenizer
        tokenizer = self.vocabulary()
        return model_zoo.new_model(args.bert_model, tokenizer, head, **changes), tokenizer

    def vocabulary(self) -> Tokenizer:
        """Of a model from scratch: what the flags name, else what lies beside the shards."""
        args = self.args
        if args.data and not args.raw and not set(FLAGS) & set(args.given):
            folder = found(args.data)[0].parent
            if any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
                self.ready.log.info("vocabulary: that of %s", folder)
                return read_tokenizer(folder)
        tokenizer = tokenizer_of(args)
        assert tokenizer is not None
        return tokenizer

    def instances(self, patterns: Sequence[str], evaluation: bool = False) -> Instances:
        """The instances of shards, or of text."""
        args, vocab = self.args, self.tokenizer.vocab
        source: Shards | RawText
        if not args.raw or (evaluation and args.eval_use_npz):
            source = Shards.open(patterns, vocab, args.verify_shards, args.skip_bad_shards)
        else:
            masking = Masking(
                args.max_len,
                args.short_seq_prob,
                args.masked_lm_prob,
                args.max_predictions_per_seq,
                args.whole_word_mask,
                seed=args.seed,
            )
            if self.group.rank:  # rank 0 tokenises, the others find its work
                self.group.barrier()
            source = RawText.of(
                patterns,
                self.tokenizer,
                masking,
                self.folder / "raw_cache",
                num_workers=args.num_workers or 0,
                language=args.split_sentences,
                shown=self.group.rank == 0,
            )
            if self.group.rank == 0:
                self.group.barrier()
        if len(source.lengths) == 0:
            raise DataError(f"{', '.join(patterns)}: no instances; the text is empty.")
        limit = self.model.config.max_position_embeddings
        if (longest := int(source.lengths.max())) > limit:
            raise UsageError(
                f"{', '.join(patterns)}: inputs have up to {longest} tokens, and the model has "
                f"{limit} positions. Make them with --max_seq_length {limit}, or take a model "
                "with more."
            )
        self.ready.log.info(
            "%s: %d inputs, %.1f tokens each on average",
            "evaluation" if evaluation else "training",
            len(source.lengths),
            source.lengths.mean(),
        )
        part = source.lengths[: args.max_eval_samples] if evaluation else source.lengths
        return Instances(source, part, {"vocabulary": vocab.sha256[:16], "raw": args.raw})

    def settings(self) -> Settings:
        """Of the training loop."""
        args = self.args
        changes = {}
        if args.total_batch_size is not None:
            parts = self.ranks.size * args.accumulate
            if args.total_batch_size % parts:
                raise UsageError(
                    f"--total_batch_size {args.total_batch_size} cannot be dealt out evenly to "
                    f"{self.ranks.size} rank(s) times --accumulate {args.accumulate}: a multiple "
                    f"of {parts} is expected."
                )
            changes["batch_size"] = args.total_batch_size // parts
        return settings_of(args, self.ready.dtype, first_step=args.phase1_num_steps or 0, **changes)

    def report(self, scores: Scores, checkpoint: Path | None) -> dict[str, Any]:
        """Print and keep the scores, and say what comes next."""
        if self.group.rank == 0:
            for name, found in scores.items():
                shown = " ".join(f"{key}={value:.5f}" for key, value in found.items())
                print(f"{name.capitalize()} {shown}")
            if scores:
                files.write_json(self.folder / RESULTS_FILE, scores)
            if checkpoint is not None:
                print(f"model: {checkpoint}")
                print(
                    "next: python scripts/bert/finetune_classifier.py --model_dir "
                    f"{checkpoint} --train_file ..."
                )
        return {**scores, "model": None if checkpoint is None else str(checkpoint)}
