"""The flags of finetune_squad.py and predict_squad.py, and what they mean together.

GluonNLP's are documented under our names; those of pytorch-pretrained-BERT's (and Google's)
``run_squad.py`` that can mean the same here are taken, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plainbert.cli import values
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.flags import Flag, Parser
from plainbert.tasks.squad.scores import SCORINGS

DEBUG_TRAIN, DEBUG_EVAL = 1000, 3  # questions with --debug, as documented

SEARCH: dict[Flag, Any] = {
    Flag("doc_stride", values.positive_int, "Tokens from one window over a long text to the next.",
         group="answers", metavar="TOKENS"): 128,
    Flag("max_query_length", values.positive_int, "Tokens of a question; the rest is cut, and how "
         "often is reported.", group="answers", metavar="TOKENS"): 64,
    Flag("n_best_size", values.positive_int, "Starts and ends tried per window, and candidates "
         "listed per question.", group="answers", metavar="N"): 20,
    Flag("max_answer_length", values.positive_int, "Longest answer in tokens.", group="answers",
         metavar="TOKENS"): 30,
    Flag("null_score_diff_threshold", values.number, "There is no answer where the score of that "
         "is above the best answer's by more than this (SQuAD 2.0).", group="answers",
         metavar="X"): 0.0,
}  # fmt: skip

TRAINING: dict[Flag, Any] = {
    Flag("version_2", None, "SQuAD 2.0: a question may have no answer.",
         ("version_2_with_negative",), "answers"): False,
    Flag("scoring", values.one_of("scoring", lambda: SCORINGS), "How answers are scored: words "
         "(SQuAD), characters (CMRC 2018, for texts without blanks), auto (by the answers).",
         group="answers", metavar="NAME"): "auto",
    Flag("uncased", None, "Lower-case, for a vocabulary that does not say; the same as "
         "--do_lower_case true.", group="model"): False,
    Flag("cache_dir", str, "Where the windows of the questions are kept; OUTPUT_DIR/cache when "
         "not given.", group="data", metavar="DIR"): None,
    Flag("debug", None, f"A quick look: train on {DEBUG_TRAIN} questions, predict {DEBUG_EVAL}; "
         "without files, both of the dev set.", group="training"): False,
    Flag("comm_backend", str, "Accepted for old command lines.", group="several processes",
         metavar="NAME", note="--num_local_ranks, torchrun and mpirun start several processes."):
        None,
}  # fmt: skip

FORMS = (".json", ".jsonl")
SCORED = [flag for flag in TRAINING if flag.name in ("version_2", "scoring")]
PREDICTING = (
    Flag("file", str, "Questions in SQuAD's form (.json, also .gz and .xz), with or without right "
         "answers; - is standard input.", ("predict_file",), "data", "FILE"),
    Flag("question", str, "Questions about --context, each in quotes.", ("questions",), "data",
         "TEXT", nargs="+"),
    Flag("context", str, "The text that holds the answers, of any length.", group="data",
         metavar="TEXT"),
    Flag("context_file", str, "The same from a file; - is standard input.", group="data",
         metavar="FILE"),
)  # fmt: skip

# Of run_squad.py. Its batch is that of a whole step, ours of one forward pass.
OTHERS: dict[Flag, Any] = {
    Flag("train_batch_size", values.positive_int, "As --batch_size times --accumulate.",
         group="run_squad.py", metavar="N"): None,
    Flag("gradient_accumulation_steps", values.positive_int, "As --accumulate; divides "
         "--train_batch_size.", group="run_squad.py", metavar="N"): None,
    Flag("num_train_epochs", values.positive, "As --epochs.", group="run_squad.py",
         metavar="N"): None,
    Flag("warmup_proportion", values.share, "As --warmup_ratio.", group="run_squad.py",
         metavar="X"): None,
    Flag("do_train", None, "Train.", group="run_squad.py"): False,
    Flag("do_predict", None, "Without --do_train: as --only_inference.", group="run_squad.py"):
        False,
    Flag("predict_batch_size", values.positive_int, "Accepted for old command lines.",
         group="run_squad.py", metavar="N",
         note="evaluation packs batches by tokens, and the scores are the same for any size."):
        None,
}  # fmt: skip


def training(doc: str | None) -> Parser:
    """The parser of finetune_squad.py."""
    parser = flags.parser(doc)
    flags.add(parser, data_dir=None, train_file=None, dev_file=None, predict_file=None, max_len=384)
    flags.add_training(parser, weight_decay=0.0, seed=6, log_interval=50, sentencepiece=None)
    for flag, default in {**SEARCH, **TRAINING, **OTHERS}.items():
        parser.add(flag, default)
    flags.refuse_quantization(parser, "predict_squad.py")
    parser.refuse(
        "--bert_config_file",
        "--vocab_file",
        "--init_checkpoint",
        reason="--model_dir takes the folder that holds all three.",
    )
    parser.refuse("--no_cuda", reason="--gpus '' computes on the CPU.")
    parser.refuse(
        "--fp16",
        "--loss_scale",
        "--optimize_on_cpu",
        reason="--dtype float16 or bfloat16 trains in 16 bits; float16 scales its loss by itself.",
    )
    parser.refuse("--save_checkpoints_steps", reason="--save_steps is its name here.")
    parser.refuse("--iterations_per_loop", reason="it was for TPUs.")
    parser.refuse("--verbose_logging", reason="--verbose is its name here.")
    return parser


def predicting(doc: str | None) -> Parser:
    """The parser of predict_squad.py."""
    parser = flags.parser(doc)
    flags.add(parser, model_dir=flags.REQUIRED, bert_dataset=None, do_lower_case=None)
    for flag in PREDICTING:
        parser.add(flag, None)
    flags.add(parser, max_len=None, num_workers=0, max_eval_samples=None)
    for flag in SEARCH:
        parser.add(flag, None)
    for flag in SCORED:
        parser.add(flag, TRAINING[flag])
    flags.add(parser, output=None, output_dir=None, overwrite=False, verbose=False)
    flags.add_device(parser, dtype="float32")
    flags.add_processes(parser)
    return parser


def parse_predicting(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and see that there are questions and a place for the answers.

    Raises:
        SystemExit: status 2 after ``error: ...`` for flags that do not go together.
    """
    args = flags.parse(parser, argv)
    if args.file is None and args.question is None:
        parser.error("nothing is asked: give --question TEXT --context TEXT, or --file FILE.")
    parser.exclusive(args, "file", "question")
    parser.exclusive(args, "context", "context_file")
    parser.needs(args, "question", "context", "context_file")
    for name in ("context", "context_file"):
        parser.needs(args, name, "question")
    parser.exclusive(args, "output", "output_dir")
    if args.output is not None:
        if Path(args.output).suffix not in FORMS:
            forms = " or ".join(FORMS)
            parser.error(f"--output {args.output}: a name ending in {forms} is expected.")
        if Path(args.output).exists() and not args.overwrite:
            parser.error(f"--output {args.output} exists. Add --overwrite, or choose another.")
    _lengths(parser, args)
    return args


def parse_training(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and bring the other scripts' flags to ours.

    Raises:
        SystemExit: status 2 after ``error: ...`` for flags that do not go together.
    """
    args = flags.parse(parser, argv)
    _translate(parser, args)
    if args.uncased:
        if args.do_lower_case is False:
            parser.error("--uncased and --do_lower_case false exclude each other: give one.")
        args.do_lower_case = True
        args.notes.append(
            "--uncased lower-cases. (GluonNLP's script did the opposite: there it switched "
            "lower-casing off.)"
        )
    if args.debug:
        args.max_train_samples = args.max_train_samples or DEBUG_TRAIN
        args.max_eval_samples = args.max_eval_samples or DEBUG_EVAL
    models = ("model_dir", "model_parameters")
    if args.only_inference and not any(name in args.given for name in models):
        parser.error("--only_inference needs a trained model: --model_parameters or --model_dir.")
    for name in (*models, "pretrained_bert_parameters"):
        parser.exclusive(args, "sentencepiece", name)
    parser.needs(args, "null_score_diff_threshold", "version_2")
    _lengths(parser, args)
    return args


def _lengths(parser: Parser, args: argparse.Namespace) -> None:
    both = args.max_len is not None and "max_query_length" in args.given
    if both and args.max_len <= args.max_query_length + 3:
        parser.error(
            f"--max_len {args.max_len} has no room for a text beside a question of "
            f"--max_query_length {args.max_query_length} and 3 special tokens."
        )


def _translate(parser: Parser, args: argparse.Namespace) -> None:
    """Set our flags by those of run_squad.py."""
    parser.exclusive(args, "train_batch_size", "batch_size")
    parser.exclusive(args, "gradient_accumulation_steps", "accumulate")
    parser.exclusive(args, "num_train_epochs", "epochs")
    parser.exclusive(args, "warmup_proportion", "warmup_ratio")
    if args.gradient_accumulation_steps is not None:
        args.accumulate = args.gradient_accumulation_steps
    if args.train_batch_size is not None:
        args.batch_size, rest = divmod(args.train_batch_size, args.accumulate)
        if rest:
            parser.error(
                f"--train_batch_size {args.train_batch_size} is that of a whole step: it must be "
                f"a multiple of the {args.accumulate} forward passes of "
                "--gradient_accumulation_steps."
            )
    if args.num_train_epochs is not None:
        if args.num_train_epochs != int(args.num_train_epochs):
            parser.error(
                f"--num_train_epochs {args.num_train_epochs:g}: whole epochs are trained; "
                "--training_steps stops anywhere."
            )
        args.epochs = int(args.num_train_epochs)
    if args.warmup_proportion is not None:
        args.warmup_ratio = args.warmup_proportion
    if args.do_predict and not args.do_train:
        args.only_inference = True
