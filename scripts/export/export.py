r"""Export a model for another runtime, and prove that it computes the same there.

    python scripts/export/export.py --model_dir runs/spam/best --format onnx --output_dir spam-onnx

    python scripts/export/export.py --model_dir runs/spam/best --format onnx --int8 \
        --file data/sms_spam/train.tsv --text_columns text --output_dir spam-int8

    python scripts/export/export.py --evaluate spam-int8 --dev_file data/sms_spam/test.tsv \
        --text_columns text

As GluonNLP had it; without --model_parameters the weights are random:

    python scripts/export/export.py --task classification --model_parameters ckpt.params \
        --output_dir exported --seq_length 128

--format mxnet (the default) writes TASK-symbol.json and TASK-0000.params, onnx model.onnx,
savedmodel a version folder for TensorFlow Serving, torch a program of torch.export. Each folder
also holds the tokenizer, labels, a card, and predict.py, a few lines that need nothing of
plainbert. At the end the exported file runs in its own runtime, on the texts of --file or
--sentences or on a few of ours, and is compared with its source; if they differ nothing is kept.

--evaluate scores an exported folder on labelled rows, and says how many it does in a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from plainbert.cli import values
from plainbert.cli.run import run
from plainbert.export.names import FORMATS, TASKS
from plainbert.recipes.shared import flags
from plainbert.recipes.shared.flags import Flag

SIZES = {"base": "bert_12_768_12", "large": "bert_24_1024_16"}  # GluonNLP's first names of them
HELP = "; ".join(f"{format.name} ({format.files})" for format in FORMATS.values())
OWN = (
    (Flag("format", values.one_of("format", lambda: FORMATS), f"What to write: {HELP}.",
          group="export", metavar="NAME"), "mxnet"),
    (Flag("task", values.one_of("task", lambda: TASKS), "What the model does: "
          f"{', '.join(TASKS)}; what its folder says when not given.", group="export",
          metavar="NAME"), None),
    (Flag("fused", None, "mxnet: queries, keys and values in one matrix, for a smaller graph; the "
          "weights then do not load by name.", group="export"), False),
    (Flag("int8", None, "onnx: int8 matrix products, calibrated on --file or --sentences.",
          group="export"), False),
    (Flag("compiled", None, "torch: compile for this processor; needs a C++ compiler.",
          group="export"), False),
    (Flag("runtime_python", str, "Python that has MXNet or TensorFlow; else .mx or .tf in the "
          "working directory.", group="export", metavar="PATH"), None),
    (Flag("evaluate", str, "Score this exported folder, in place of exporting.",
          ("exported_model",), "evaluation", "DIR"), None),
    (Flag("float32", None, "Evaluate the float32 file of an int8 export.", group="evaluation"),
     False),
)  # fmt: skip


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    for flag, default in OWN:
        parser.add(flag, default)
    flags.add(
        parser,
        model_dir=None,
        model_parameters=None,
        bert_model="bert_12_768_12",
        bert_dataset="book_corpus_wiki_en_uncased",
        vocab=None,
        sentencepiece=None,
        labels=None,
        do_lower_case=None,
        pooling_strategy=None,
        dropout=0.0,
        max_len=None,
        file=None,
        sentences=None,
        text_columns=None,
        label_column="label",
        dev_file=None,
        task_name=None,
        data_dir=None,
        max_eval_samples=None,
        num_workers=0,
        dev_batch_size=None,
        output_dir="./output_dir",
        overwrite=False,
        verbose=False,
        seed=2,
    )
    flags.add_device(parser, dtype="float32")
    refuse_deploy(parser)
    args = flags.parse(parser, argv)
    args.bert_model = SIZES.get(args.bert_model, args.bert_model)
    parser.exclusive(args, "task_name", "dev_file")
    for name, format in (("fused", "mxnet"), ("int8", "onnx"), ("compiled", "torch")):
        if getattr(args, name) and args.format != format:
            parser.error(f"--{name} goes with --format {format}; this is --format {args.format}.")
    if args.dtype != "float32":
        parser.error(f"--dtype {args.dtype}: exports are of float32; --int8 makes ONNX smaller.")
    return args


def refuse_deploy(parser: flags.Parser) -> None:
    """Let flags of GluonNLP's deploy.py that have no place here say what has."""
    parser.refuse(
        "--only_infer",
        "--max_iters",
        "--check_accuracy",
        reason="an export is always checked and timed; --evaluate FOLDER --dev_file FILE scores.",
    )
    parser.refuse(
        "--custom_pass_lib",
        "--custom_passes",
        reason="graph passes belonged to MXNet. --format onnx --int8 makes a model small and fast.",
    )
    parser.refuse(
        "--QA_version_2",
        "--QA_n_best_size",
        "--QA_max_answer_length",
        "--QA_doc_stride",
        "--QA_max_query_length",
        "--QA_null_score_diff_threshold",
        reason="an export keeps how finetune_squad.py cut windows and looks for answers as it did.",
    )
    parser.refuse("--oov_way", reason="vectors of words are made by scripts/bert/embedding.py.")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    folder, args.output_dir = args.output_dir, None  # an export, not the folder of a run
    args.gpus = ()

    from plainbert.recipes.shared import exporting
    from plainbert.recipes.shared.start import start

    ready = start(args)
    if args.evaluate is not None:
        found = exporting.evaluate(args)
        speed = found.pop("per_second")
        for split, scores in found.items():
            shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
            print(f"{split}: {shown}")
        print(f"{speed:.1f} rows/s")
        return {**found, "per_second": speed}
    args.output_dir = folder
    written = exporting.export_from(args)
    ready.log.info('next: python %s/predict.py "a text"', folder)
    if written.task != "embedding":  # vectors alone have no score
        command = "python scripts/export/export.py --evaluate"
        ready.log.info("      %s %s --dev_file FILE", command, folder)
    return {"folder": folder, **written.check}


if __name__ == "__main__":
    run(main)
