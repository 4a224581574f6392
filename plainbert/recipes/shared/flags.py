"""Every flag that more than one script takes, declared once.

A script picks which ones it has and what their defaults are::

    def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
        parser = flags.parser(__doc__)
        flags.add(parser, bert_model="bert_12_768_12", model_dir=None, task_name=flags.REQUIRED)
        flags.add(parser, epochs=3, batch_size=32, lr=5e-5, early_stop=None, pad=False)
        flags.add_run(parser, output_dir="./output_dir", seed=2)
        flags.add_device(parser, dtype="auto")
        flags.refuse_quantization(parser)
        args = flags.parse(parser, argv)
        parser.needs(args, "label_column", "train_file", "dev_file")  # what only this script knows
        return args

The attribute is the flag's name below, whatever spelling was typed; switches default to False.
``args.given`` lists the flags that were typed: a value that was typed wins over the checkpoint
folder's, a default does not. ``flags.parse`` also checks what holds for every script. A flag that
only one script has is a :class:`Flag` of its own, put in with ``parser.add(flag, default)``.
Nothing here imports torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plainbert.cli.parser import REQUIRED, Flag, Parser
from plainbert.recipes.shared.flag_tables import SHARED

__all__ = [
    "REQUIRED", "SHARED", "Flag", "Parser", "add", "add_device", "add_distributed", "add_run",
    "add_processes", "add_training", "parse", "parser", "refuse_quantization",
]  # fmt: skip


def parser(doc: str | None) -> Parser:
    """An empty parser whose help opens with the script's docstring."""
    return Parser(doc)


def add(target: Parser, **defaults: Any) -> None:
    """Add shared flags, named by keyword, each with this script's default.

    Args:
        target: the script's parser.
        defaults: flag name -> default; ``REQUIRED`` for a flag that must be given, False for a
            switch.
    """
    for name, default in defaults.items():
        target.add(SHARED[name], default)


def add_run(target: Parser, output_dir: str | None, seed: int, log_interval: int = 10) -> None:
    """Add the flags of a script that trains: its folder, its log, its seed."""
    add(target, output_dir=output_dir, resume=False, overwrite=False, save_steps=None)
    add(target, keep_checkpoints=None, log_interval=log_interval, verbose=False, seed=seed)


def add_device(target: Parser, dtype: str) -> None:
    """Add the flags that say where to compute and in which numbers.

    Args:
        target: the script's parser.
        dtype: default of ``--dtype``: "auto" for training, "float32" where results are compared.
    """
    add(target, gpu=None, gpus=None, dtype=dtype, threads=None, num_local_ranks=1, local_rank=None)
    target.refuse(
        "--use_tpu", "--tpu_name", reason="TPUs are not supported; leave it out for GPU or CPU."
    )


def add_training(target: Parser, **defaults: Any) -> None:
    """Add the flags of a fine-tune script: model, training, run folder, device, processes.

    Args:
        target: the script's parser.
        defaults: its own documented defaults, in place of those of most scripts; by flag name.
    """
    usual = {
        "model_dir": None, "bert_model": "bert_12_768_12",
        "bert_dataset": "book_corpus_wiki_en_uncased", "pretrained_bert_parameters": None,
        "model_parameters": None, "do_lower_case": None, "epochs": 3, "training_steps": None,
        "batch_size": 32, "dev_batch_size": None, "accumulate": 1, "group_by_length": True,
        "optimizer": "bertadam", "lr": 5e-5, "epsilon": 1e-6, "weight_decay": 0.01,
        "max_grad_norm": 1.0, "schedule": "linear", "warmup_ratio": 0.1, "end_lr": 0.0,
        "schedule_power": 1.0, "schedule_cycles": None, "dropout": None, "attention_dropout": None,
        "eval_steps": None, "early_stop": None, "only_inference": False, "round_to": None,
        "num_workers": 0, "max_train_samples": None, "max_eval_samples": None, "export": None,
    }  # fmt: skip
    folder, seed = defaults.pop("output_dir", "./output_dir"), defaults.pop("seed", 2)
    dtype, interval = defaults.pop("dtype", "auto"), defaults.pop("log_interval", 10)
    add(target, **{**usual, **defaults})
    add_run(target, folder, seed, interval)
    add_device(target, dtype)
    add_distributed(target)


def add_distributed(target: Parser) -> None:
    """Add the flags of a script that trains in several processes."""
    add_processes(target)
    add(target, dist_strategy="ddp", grad_compression="none", async_checkpoints=False)


def add_processes(target: Parser) -> None:
    """Add the flags of a script that runs as several processes."""
    add(target, dist_backend="auto", dist_timeout=600.0, max_restarts=0)


def refuse_quantization(target: Parser, predict: str = "predict_classifier.py") -> None:
    """Let GluonNLP v0.9's flags for exported and int8 models exit, naming what to use.

    Args:
        target: the script's parser.
        predict: the script that predicts.
    """
    target.refuse(
        "--deploy",
        "--model_prefix",
        reason=f"a trained folder predicts with scripts/bert/{predict} --model_dir "
        "FOLDER, and is exported with scripts/export/export.py --format onnx.",
    )
    target.refuse(
        "--only_calibration",
        "--num_calib_batches",
        "--quantized_dtype",
        "--calib_mode",
        "--custom_pass_lib",
        "--custom_passes",
        reason="int8 calibration and graph passes belonged to MXNet. --dtype bfloat16 is the fast "
        "way here; scripts/export/export.py --format onnx gives a model that ONNX tools quantise.",
    )


def parse(target: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, then check what holds for every script.

    Args:
        target: the script's parser.
        argv: the words of the command line without the script; ``sys.argv[1:]`` when None.

    Raises:
        SystemExit: status 2 after ``error: ...`` for flags that are wrong or do not go together.
    """
    args: argparse.Namespace = target.parse_args(argv)
    target.exclusive(args, "gpu", "gpus")
    target.exclusive(args, "resume", "overwrite")
    target.exclusive(args, "only_inference", "export")  # exports what was trained
    target.exclusive(args, "model_dir", "model_parameters", "pretrained_bert_parameters")
    target.exclusive(args, "file", "sentences")
    several = getattr(args, "num_local_ranks", 1) > 1 or getattr(args, "local_rank", 0) not in (
        None,
        0,
        -1,
    )
    if several and not hasattr(args, "dist_backend"):
        target.error(
            "this script runs in one process. Leave --num_local_ranks and --local_rank out."
        )
    return args
