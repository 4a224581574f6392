"""Flags of the commands that make pre-training data and pre-train. Free of torch."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from plainbert.cli import values
from plainbert.cli.parser import REQUIRED
from plainbert.cli.settings import Flags, accepted, option

_STREAM = "all instances are opened at once and read as they are needed."
_PACKED = "evaluation packs batches by tokens, and the scores are the same for any size."
# GluonNLP's ways to exchange gradients, and our --dist_strategy.
BACKENDS = {
    "local": "ddp", "device": "ddp", "horovod": "ddp", "dist_sync": "zero1",
    "dist_sync_device": "zero1", "dist_device_sync": "zero1", "nccl": "ddp",
}  # fmt: skip


def _backend(text: str) -> str:
    """Reads one of ``BACKENDS``."""
    if text.startswith("dist_async"):
        raise argparse.ArgumentTypeError(
            "dist_async is not offered: workers that update without waiting for each other make a "
            "run that nobody can repeat. dist_sync is (--dist_strategy zero1)."
        )
    return str(values.one_of("way to exchange gradients", lambda: BACKENDS)(text))


@dataclass(frozen=True, kw_only=True)
class MaskingFlags(Flags):
    """How inputs are cut, and which of their tokens are to be predicted."""

    short_seq_prob: float = option(
        0.1,
        values.probability,
        "Chance of a document to be cut into shorter inputs, of a length drawn for it.",
        group="masking",
        metavar="X",
    )
    masked_lm_prob: float = option(
        0.15,
        values.probability,
        "Share of the tokens of an input to predict.",
        group="masking",
        metavar="X",
    )
    max_predictions_per_seq: int = option(
        80,
        values.positive_int,
        "Tokens of one input to predict at most.",
        group="masking",
        metavar="TOKENS",
    )
    whole_word_mask: bool = option(
        False,
        None,
        "Mask all sub-words of a word together.",
        group="masking",
    )


@dataclass(frozen=True, kw_only=True)
class ShardsFlags(Flags):
    """Which text becomes shards, by which vocabulary."""

    input_file: tuple[str, ...] = option(
        REQUIRED,
        values.patterns,
        "Text files: paths or globs, .gz and .xz too; several, or between commas.",
        group="data",
        metavar="GLOB",
        nargs="+",
    )
    split_sentences: str | None = option(
        None,
        str,
        "The lines are not sentences: join those of a block between blank lines and split it "
        "by the rules of a language (en when none is named).",
        group="data",
        metavar="LANGUAGE",
        nargs="?",
        const="en",
    )
    train_vocab: int | None = option(
        None,
        values.positive_int,
        "Train a vocabulary of so many tokens on the text.",
        group="model",
        metavar="TOKENS",
    )
    vocab_kind: str = option(
        "wordpiece",
        values.one_of("kind", lambda: ("wordpiece", "sentencepiece")),
        "What --train_vocab trains: wordpiece or sentencepiece.",
        group="model",
        metavar="KIND",
    )
    dupe_factor: int = option(
        1,
        values.positive_int,
        "Passes over the text, each with pairs and masks of its own.",
        group="masking",
        metavar="N",
    )
    num_outputs: int | None = option(
        None,
        values.positive_int,
        "Shards to write, at most one per document; each is one process's work, and one can "
        "be held out. When not given: 64, more for a large text (8 million tokens each).",
        group="output",
        metavar="N",
    )


@dataclass(frozen=True, kw_only=True)
class InstancesFlags(Flags):
    """What to train and to evaluate on."""

    data: tuple[str, ...] | None = option(
        None,
        values.patterns,
        "Shards (.npz) to train on, or with --raw text files: paths or globs, several or "
        "between commas.",
        group="data",
        metavar="GLOB",
        nargs="+",
    )
    data_eval: tuple[str, ...] | None = option(
        None,
        values.patterns,
        "Shards, or with --raw text files, to evaluate on.",
        group="data",
        metavar="GLOB",
        nargs="+",
    )
    raw: bool = option(
        False,
        None,
        "--data is text, one sentence a line, a blank line between documents; masks are "
        "drawn anew in every epoch.",
        group="data",
    )
    eval_use_npz: bool = option(
        False,
        None,
        "With --raw: --data_eval is shards all the same.",
        group="data",
    )
    split_sentences: str | None = option(
        None,
        str,
        "With --raw: the lines are not sentences; split the text by the rules of a language "
        "(en when none is named).",
        group="data",
        metavar="LANGUAGE",
        nargs="?",
        const="en",
    )
    verify_shards: bool = option(
        False,
        None,
        "Check every shard before the first step, not before its first use.",
        group="data",
    )
    skip_bad_shards: bool = option(
        False,
        None,
        "Leave damaged shards out, count and name them.",
        group="data",
    )
    dummy_data_len: int | None = option(
        None,
        values.positive_int,
        "Measure speed without data: inputs of so many tokens.",
        group="data",
        metavar="TOKENS",
    )
    synthetic_data: bool = option(
        False,
        None,
        "The same with --max_seq_length tokens.",
        group="data",
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingFlags(Flags):
    """How to pre-train."""

    pretrained: bool = option(
        False,
        None,
        "Start from the published weights of --model and --dataset_name.",
        group="model",
    )
    no_nsp: bool = option(
        False,
        None,
        "Masked words only, no next sentence.",
        group="training",
    )
    use_avg_len: bool = option(
        False,
        None,
        "--batch_size counts tokens: batches of short inputs have more of them.",
        group="training",
    )
    total_batch_size: int | None = option(
        None,
        values.positive_int,
        "Inputs per optimizer step over all processes and forward passes, in place of "
        "--batch_size.",
        group="training",
        metavar="N",
    )
    start_step: int | None = option(
        None,
        values.whole_number,
        "Go on from the checkpoint of this step in --ckpt_dir, ours or GluonNLP's.",
        group="training",
        metavar="STEP",
    )
    phase2: bool = option(
        False,
        None,
        "The second phase, with longer inputs: order and schedule begin anew after "
        "--phase1_num_steps.",
        group="training",
    )
    phase1_num_steps: int | None = option(
        None,
        values.positive_int,
        "Steps of the first phase.",
        group="training",
        metavar="N",
    )
    no_compute_acc: bool = option(
        False,
        None,
        "Do not count right predictions in training.",
        group="training",
    )
    profile: str | None = option(
        None,
        values.path,
        "Write a trace of steps 10 to 14 to this file (open it in ui.perfetto.dev) and stop.",
        group="output",
        metavar="FILE",
    )
    kvstore: str | None = option(
        None,
        _backend,
        "GluonNLP's word for --dist_strategy: local, device, nccl are ddp, dist_sync is zero1.",
        ("comm_backend",),
        "several processes",
        "NAME",
    )


@dataclass(frozen=True, kw_only=True)
class GluonNLPFlags(Flags):
    """Flags of GluonNLP's run_pretraining.py that change nothing here."""

    total_batch_size_eval: int | None = accepted(values.positive_int, _PACKED, "training")
    num_buckets: int | None = accepted(
        values.positive_int, "batches always hold inputs of similar length.", "data"
    )
    num_batch_workers: int | None = accepted(values.whole_number, _STREAM, "data")
    circle_length: int | None = accepted(values.positive_int, _STREAM, "data")
    repeat: int | None = accepted(values.positive_int, _STREAM, "data")
    dataset_cached: bool = accepted(None, _STREAM, "data")
    num_max_dataset_cached: int | None = accepted(values.whole_number, _STREAM, "data")
