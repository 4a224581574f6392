"""The flags of run_pretraining.py and run_pretraining_hvd.py, and what they mean together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plainbert.cli import values
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.flags import Flag, Parser

_STREAM = "all instances are opened at once and read as they are needed."
# GluonNLP's ways to exchange gradients, and ours.
BACKENDS = {
    "local": "ddp", "device": "ddp", "horovod": "ddp", "dist_sync": "zero1",
    "dist_sync_device": "zero1", "dist_device_sync": "zero1", "nccl": "ddp",
}  # fmt: skip


def _backend(text: str) -> str:
    if text.startswith("dist_async"):
        raise argparse.ArgumentTypeError(
            "dist_async is not offered: workers that update without waiting for each other make a "
            "run that nobody can repeat. dist_sync is (--dist_strategy zero1)."
        )
    return str(values.one_of("way to exchange gradients", lambda: BACKENDS)(text))


OWN: dict[Flag, Any] = {
    Flag("data", values.patterns, "Shards (.npz) to train on, or with --raw text files: paths or "
         "globs, several or between commas.", group="data", metavar="GLOB", nargs="+"): None,
    Flag("data_eval", values.patterns, "The same to evaluate on.", group="data", metavar="GLOB",
         nargs="+"): None,
    Flag("raw", None, "--data is text, one sentence a line, a blank line between documents; masks "
         "are drawn anew in every epoch.", group="data"): False,
    Flag("eval_use_npz", None, "With --raw: --data_eval is shards all the same.", group="data"):
        False,
    Flag("split_sentences", str, "With --raw: the lines are not sentences; split the text by the "
         "rules of a language (en when none is named).", group="data", metavar="LANGUAGE",
         nargs="?", const="en"): None,
    Flag("verify_shards", None, "Check every shard before the first step, not before its first "
         "use.", group="data"): False,
    Flag("skip_bad_shards", None, "Leave damaged shards out, count and name them.", group="data"):
        False,
    Flag("pretrained", None, "Start from the published weights of --model and --dataset_name.",
         group="model"): False,
    Flag("no_nsp", None, "Masked words only, no next sentence.", group="training"): False,
    Flag("use_avg_len", None, "--batch_size counts tokens: batches of short inputs have more of "
         "them.", group="training"): False,
    Flag("total_batch_size", values.positive_int, "Inputs per optimizer step over all processes "
         "and forward passes, in place of --batch_size.", group="training", metavar="N"): None,
    Flag("start_step", values.whole_number, "Go on from the checkpoint of this step in "
         "--ckpt_dir, ours or GluonNLP's.", group="training", metavar="STEP"): None,
    Flag("phase2", None, "The second phase, with longer inputs: order and schedule begin anew "
         "after --phase1_num_steps.", group="training"): False,
    Flag("phase1_num_steps", values.positive_int, "Steps of the first phase.", group="training",
         metavar="N"): None,
    Flag("no_compute_acc", None, "Do not count right predictions in training.", group="training"):
        False,
    Flag("dummy_data_len", values.positive_int, "Measure speed without data: inputs of so many "
         "tokens.", group="data", metavar="TOKENS"): None,
    Flag("synthetic_data", None, "The same with --max_seq_length tokens.", group="data"): False,
    Flag("profile", str, "Write a trace of steps 10 to 14 to this file (open it in "
         "ui.perfetto.dev) and stop.", group="output", metavar="FILE"): None,
    Flag("kvstore", _backend, "GluonNLP's word for --dist_strategy: local, device, nccl are ddp, "
         "dist_sync is zero1.", ("comm_backend",), "several processes", "NAME"): None,
    Flag("total_batch_size_eval", values.positive_int, "Accepted for old command lines.",
         group="training", metavar="N",
         note="evaluation packs batches by tokens, and the scores are the same for any size."):
        None,
    Flag("num_buckets", values.positive_int, "Accepted for old command lines.", group="data",
         metavar="N", note="batches always hold inputs of similar length."): None,
    Flag("num_batch_workers", values.whole_number, "Accepted for old command lines.",
         group="data", metavar="N", note=_STREAM): None,
    Flag("circle_length", values.positive_int, "Accepted for old command lines.", group="data",
         metavar="N", note=_STREAM): None,
    Flag("repeat", values.positive_int, "Accepted for old command lines.", group="data",
         metavar="N", note=_STREAM): None,
    Flag("dataset_cached", None, "Accepted for old command lines.", group="data", note=_STREAM):
        False,
    Flag("num_max_dataset_cached", values.whole_number, "Accepted for old command lines.",
         group="data", metavar="N", note=_STREAM): None,
}  # fmt: skip


def parse(doc: str | None, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the command line of either script.

    Args:
        doc: the script's docstring.
        argv: its words; ``sys.argv[1:]`` when None.
    """
    parser = flags.parser(doc)
    for flag, default in OWN.items():
        parser.add(flag, default)
    flags.add(
        parser,
        model_dir=None,
        bert_model="bert_12_768_12",
        bert_dataset="book_corpus_wiki_en_uncased",
        vocab=None,
        sentencepiece=None,
        cased=False,
        do_lower_case=None,
        sp_nbest=0,
        sp_alpha=1.0,
    )
    flags.add(
        parser,
        max_len=512,
        short_seq_prob=0.1,
        masked_lm_prob=0.15,
        max_predictions_per_seq=80,
        whole_word_mask=False,
        num_workers=None,
        max_eval_samples=None,
    )
    flags.add(
        parser,
        training_steps=20,
        batch_size=8,
        dev_batch_size=None,
        accumulate=1,
        optimizer="bertadam",
        lr=1e-4,
        epsilon=1e-6,
        weight_decay=0.01,
        max_grad_norm=1.0,
        schedule="linear",
        warmup_ratio=0.01,
        end_lr=0.0,
        schedule_power=1.0,
        schedule_cycles=None,
        dropout=None,
        attention_dropout=None,
        eval_steps=None,
        early_stop=None,
        group_by_length=True,
    )
    flags.add(parser, output_dir="./ckpt_dir", resume=False, overwrite=False, save_steps=25000)
    flags.add(parser, keep_checkpoints=3, log_interval=250, verbose=False, seed=0)
    flags.add_device(parser, dtype="auto")
    flags.add_distributed(parser)
    args = flags.parse(parser, argv)
    _check(parser, args)
    if args.kvstore is not None and "dist_strategy" not in args.given:
        args.dist_strategy = BACKENDS[args.kvstore]
        args.notes.append(
            f"--kvstore {args.kvstore} is --dist_strategy {args.dist_strategy} here, "
            "over torch.distributed."
        )
    if args.synthetic_data:
        args.dummy_data_len = args.max_len
    if args.eval_steps is None:
        args.eval_steps = args.save_steps
    args.start_step = args.start_step or None  # GluonNLP's 0 is a new run
    return args


def _check(parser: Parser, args: argparse.Namespace) -> None:
    parser.exclusive(args, "cased", "do_lower_case")
    parser.exclusive(args, "batch_size", "total_batch_size")
    parser.exclusive(args, "use_avg_len", "total_batch_size")
    parser.exclusive(args, "pretrained", "model_dir")
    parser.exclusive(args, "dummy_data_len", "synthetic_data")
    parser.exclusive(args, "kvstore", "dist_strategy")
    made_up = args.dummy_data_len is not None or args.synthetic_data
    if not (made_up or args.data or args.data_eval):
        parser.error(
            "nothing to do: give --data to train, --data_eval to evaluate, or both. Make shards "
            "with scripts/bert/create_pretraining_data.py, or give text files and --raw."
        )
    parser.needs(args, "eval_use_npz", "raw")
    parser.needs(args, "split_sentences", "raw")
    parser.needs(args, "phase1_num_steps", "phase2")
    if args.phase2 and args.phase1_num_steps is None:
        parser.error("--phase2 needs --phase1_num_steps, the steps of the first phase.")
    if args.phase2 and not args.resume and not args.start_step:
        parser.error(
            "--phase2 goes on from the first phase: name its last checkpoint with --start_step "
            f"{args.phase1_num_steps}."
        )
