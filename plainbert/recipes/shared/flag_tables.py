"""The flags that more than one script takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plainbert.cli import values
from plainbert.cli.parser import REQUIRED, Flag
from plainbert.cli.settings import option
from plainbert.cli.values import path

WINDOW = (
    "Longest window in tokens, [CLS] and [SEP] counted; longer texts are read in windows that "
    "overlap, and nothing is cut."
)


def _optimizers() -> Iterable[str]:
    from plainbert.train import names

    return names.OPTIMIZERS


def _schedules() -> Iterable[str]:
    from plainbert.train import names

    return names.SCHEDULES


def _poolings() -> Iterable[str]:
    from plainbert.nn import names

    return names.POOLINGS


def _formats() -> Iterable[str]:
    from plainbert.export import names

    return names.FORMATS


def _metrics() -> Iterable[str]:
    from plainbert.tasks.classification import scores as metrics

    return metrics.METRICS


_MODEL = (
    Flag("model_dir", path, "Model: a published name, or a folder or file of plainbert, Hugging "
         "Face, GluonNLP (.params) or Google (TensorFlow).", group="model", metavar="DIR"),
    Flag("bert_model", str, "Size of the published model, bert_LAYERS_UNITS_HEADS, or its name.",
         ("model", "model_name"), "model", "NAME"),
    Flag("bert_dataset", str, "What the published model was trained on; picks weights and "
         "vocabulary.", ("dataset_name",), "model", "NAME"),
    Flag("pretrained_bert_parameters", path, "Weights of a pre-trained body: a .params file or a "
         "model folder.",
         group="model", metavar="PATH"),
    Flag("model_parameters", path, "Weights of the whole fine-tuned model: a .params file "
         "or a model folder.",
         ("params_path",), "model", "PATH"),
    Flag("sentencepiece", path, "SentencePiece .model file, as the vocabulary.", group="model",
         metavar="FILE"),
    Flag("vocab", path, "Vocabulary file, where none lies beside the weights.", ("vocab_file",),
         "model", "FILE"),
    Flag("num_heads", values.positive_int, "Attention heads, for weights that do not say.",
         group="model", metavar="N"),
    Flag("labels", values.names, "Names of the classes or tags by id, between commas, for a model "
         "that does not store them.", group="model", metavar="A,B[,...]"),
    Flag("do_lower_case", values.true_or_false, "Whether text is lower-cased, for a vocabulary "
         "that does not say.", group="model", metavar="{true,false}", nargs="?", const=True),
)  # fmt: skip

_DATA = (
    Flag("data_dir", path, "Folder that holds the task's files; else $GLUE_DIR/TASK, then "
         "./glue_data/TASK.", group="data", metavar="DIR"),
    Flag("train_file", path, "Training rows: .tsv, .csv or .jsonl, with a header.", group="data",
         metavar="FILE"),
    Flag("dev_file", path, "Rows to evaluate on; the best epoch is chosen by them.", group="data",
         metavar="FILE"),
    Flag("test_file", path, "Rows to score at the end, with the best model.", group="data",
         metavar="FILE"),
    Flag("predict_file", path, "Rows without labels to predict at the end.", group="data",
         metavar="FILE"),
    Flag("file", path, "Input, one text (or row) a line; - is standard input.", group="data"),
    Flag("sentences", str, "Input texts, each in quotes.", group="data", nargs="+",
         metavar="TEXT"),
    Flag("text_columns", values.names, "Columns that hold the text (two for a pair), by name or "
         "number from 0, between commas.", group="data", metavar="A[,B]"),
    Flag("max_train_samples", values.positive_int, "Use only the first N training examples.",
         group="data", metavar="N"),
    Flag("max_eval_samples", values.positive_int, "Evaluate only the first N examples of a split.",
         group="data", metavar="N"),
    Flag("max_len", values.positive_int, "Longest input in tokens, [CLS] and [SEP] counted; the "
         "rest is cut, and how often is reported.",
         ("max_seq_length", "max_seq_len", "seq_len", "seq_length"), "data", "TOKENS"),
    Flag("num_workers", values.whole_number, "Processes that tokenise; 0 does it in this one.",
         ("num_data_workers", "num_dataset_workers"), "data", "N"),
)  # fmt: skip

_TRAINING = (
    Flag("epochs", values.positive_int, "Passes over the training set.", ("num_epochs", "epoch"),
         "training", "N"),
    Flag("training_steps", values.positive_int, "Optimizer steps, in place of whole epochs.",
         ("num_steps",), "training", "N"),
    Flag("batch_size", values.positive_int, "Examples per device and forward pass.",
         group="training", metavar="N"),
    Flag("dev_batch_size", values.positive_int, "Accepted for old command lines.",
         ("test_batch_size", "batch_size_eval"), "training", "N",
         note="evaluation packs batches by tokens, and the scores are the same for any size."),
    Flag("accumulate", values.positive_int, "Forward passes summed into one optimizer step.",
         group="training", metavar="N"),
    Flag("group_by_length", values.true_or_false, "Whether the examples of a step have similar "
         "lengths, so that attention pads less; false: random ones.",
         group="training", metavar="{true,false}", nargs="?", const=True),
    Flag("optimizer", values.one_of("optimizer", _optimizers), "Optimizer: bertadam (no bias "
         "correction, as published), adamw, adam, lamb, sgd.", group="training", metavar="NAME"),
    Flag("lr", values.not_negative, "Peak learning rate, reached after warm-up.",
         ("learning_rate",), "training", "RATE"),
    Flag("epsilon", values.positive, "Added to the root of the second moment.", group="training",
         metavar="X"),
    Flag("weight_decay", values.not_negative, "Decoupled weight decay; none on biases and norms.",
         ("wd",), "training", "X"),
    Flag("max_grad_norm", values.not_negative, "Gradients are scaled down to this global norm; 0 "
         "does not clip.", group="training", metavar="X"),
    Flag("warmup_ratio", values.share, "Share of the optimizer steps spent warming up, in [0, 1).",
         group="training", metavar="X"),
    Flag("schedule", values.one_of("schedule", _schedules), "Learning rate after warm-up: "
         "linear, google, polynomial, cosine, constant.", group="training", metavar="NAME"),
    Flag("schedule_power", values.positive, "Exponent of the polynomial schedule.",
         group="training", metavar="X"),
    Flag("schedule_cycles", values.positive, "Falls of the polynomial schedule, or waves of "
         "the cosine.", group="training", metavar="X"),
    Flag("end_lr", values.not_negative, "Learning rate at which the schedule ends.",
         group="training", metavar="RATE"),
    Flag("dropout", values.share, "Dropout of the hidden layers.",
         ("dropout_prob",), "training", "X"),
    Flag("attention_dropout", values.share, "Dropout of attention weights. 0 is faster.",
         group="training", metavar="X"),
    Flag("eval_steps", values.positive_int, "Evaluate every N optimizer steps, not once an epoch.",
         ("eval_interval",), "training", "N"),
    Flag("early_stop", values.positive_int, "Stop after N evaluations without a better score.",
         group="training", metavar="N"),
    Flag("metric", values.one_of("metric", _metrics), "Score that chooses the best checkpoint.",
         group="training", metavar="NAME"),
    Flag("only_inference", None, "Do not train: evaluate and predict.", ("only_predict",),
         "training"),
    Flag("pad", None, "Accepted for old command lines.", group="training",
         note="batches are packed, nothing is padded, and the results are the same."),
    Flag("round_to", values.positive_int, "Accepted for old command lines.", group="training",
         metavar="N", note="batches are packed, nothing is padded, and the results are the same."),
)  # fmt: skip

_OUTPUT = (
    Flag("output", path, "File to write the results to; its suffix chooses the form.",
         group="output", metavar="FILE"),
    Flag("output_dir", path, "Folder of the run: checkpoints, logs, scores, predictions.",
         ("ckpt_dir",), "output", "DIR"),
    Flag("resume", None, "Go on where an interrupted run stopped: from its last checkpoint, or "
         "behind the last rows that it worked out.", group="output"),
    Flag("overwrite", None, "Start anew in an --output_dir that holds a run of the same script, "
         "which is kept until the new one has saved a checkpoint.",
         group="output"),
    Flag("save_steps", values.positive_int, "Write a checkpoint every N optimizer steps, not once "
         "an epoch.", ("ckpt_interval",), "output", "N"),
    Flag("keep_checkpoints", values.positive_int, "Checkpoints to keep beside the best and the "
         "last.", group="output", metavar="N"),
    Flag("log_interval", values.positive_int, "Optimizer steps between two lines of the log.",
         group="output", metavar="STEPS"),
    Flag("export", values.one_of("format", _formats), "Export the best model at the end, too: "
         "mxnet, onnx, savedmodel or torch, as the command export makes them.", group="output",
         metavar="FORMAT"),
    Flag("verbose", None, "Show the details that are otherwise in log.txt only.", group="output"),
    Flag("seed", values.whole_number, "Seed of every random number.", ("random_seed",), "output",
         "N"),
)  # fmt: skip

_VECTORS = (
    Flag("pooling_strategy", values.one_of("pooling", _poolings), "How token vectors become one "
         "sentence vector.", group="vectors", metavar="NAME"),
    Flag("normalize", values.true_false_or_auto, "Whether vectors get length 1; auto: as the "
         "model's folder says, whichever pooling is named (bert-as-service: false).",
         group="vectors", metavar="{true,false,auto}", nargs="?", const=True),
)  # fmt: skip

_VOCABULARY = (
    Flag("cased", None, "Keep capitals and accents; for --sentencepiece, where nothing else says "
         "it.", group="model"),
    Flag("sp_nbest", values.any_int, "Draw the segmentation of each word: from the N best, from "
         "all of them below 0; 0 and 1 take the best.", group="model", metavar="N"),
    Flag("sp_alpha", values.not_negative, "Sharpness of that draw: exponent of the probabilities; "
         "for BPE the share of merges left out.", group="model", metavar="X"),
)  # fmt: skip

_DEVICE = (
    Flag("gpu", values.whole_number, "Index of the GPU, 0 when no number follows.", group="device",
         metavar="INDEX", nargs="?", const=0),
    Flag("gpus", values.devices, "Indices of GPUs, between commas; '' is the CPU.", group="device",
         metavar="INDICES"),
    Flag("dtype", values.one_of("dtype", lambda: ("auto", "float32", "bfloat16", "float16")),
         "Numbers of the matrix products: float32, bfloat16, float16, or auto (bfloat16 where the "
         "hardware multiplies it, else float32).", group="device", metavar="DTYPE"),
    Flag("threads", values.positive_int, "CPU threads.",
         group="device", metavar="N"),
    Flag("num_local_ranks", values.positive_int, "Processes to start on this machine; they share "
         "every step.", group="device", metavar="N"),
    Flag("local_rank", values.any_int, "Accepted from launchers.", group="device", metavar="N"),
)  # fmt: skip


def _strategies() -> Iterable[str]:
    from plainbert.train import names

    return names.DIST_STRATEGIES


def _compressions() -> Iterable[str]:
    from plainbert.train import names

    return names.GRAD_COMPRESSIONS


_DISTRIBUTED = (
    Flag("dist_strategy", values.one_of("strategy", _strategies), "What the ranks share: ddp (each "
         "has everything), zero1 (optimizer slots are dealt out), fsdp (weights too), hsdp (fsdp "
         "within a host, copies across hosts).", group="several processes", metavar="NAME"),
    Flag("dist_backend", values.one_of("backend", lambda: ("auto", "gloo", "nccl")), "What carries "
         "their messages: gloo, nccl, or auto: nccl for GPUs, else gloo.",
         group="several processes", metavar="NAME"),
    Flag("dist_timeout", values.positive, "Longest wait for another rank; a cut network ends the "
         "run then, a killed rank at once.", group="several processes", metavar="SECONDS"),
    Flag("grad_compression", values.one_of("compression", _compressions), "What gradients are sent "
         "as: none, fp16, bf16.", group="several processes", metavar="NAME"),
    Flag("async_checkpoints", None, "Write checkpoints while training goes on.",
         group="several processes"),
    Flag("max_restarts", values.whole_number, "How often --num_local_ranks and --gpus start their "
         "processes again after one was lost.", group="several processes",
         metavar="N"),
)  # fmt: skip

_GROUPS = (
    _MODEL, _DATA, _TRAINING, _OUTPUT, _VECTORS, _VOCABULARY, _DEVICE, _DISTRIBUTED,
)  # fmt: skip
SHARED: dict[str, Flag] = {flag.name: flag for group in _GROUPS for flag in group}

# What is decided where a flag is not given, in every command whose default is no value.
UNSET = {
    "labels": "the model's own", "vocab": "the model's own", "num_heads": "units / 64",
    "do_lower_case": "as the vocabulary says", "threads": "torch's own choice",
    "gpu": "the first GPU if there is one, else the CPU", "gpus": "the first, else the CPU",
    "output": "printed", "export": "nothing",
    "text_columns": "the usual names, such as text, or sentence1 and sentence2",
    "max_train_samples": "all", "max_eval_samples": "all", "training_steps": "whole epochs",
    "dropout": "the model's own", "attention_dropout": "the model's own",
    "eval_steps": "every epoch", "save_steps": "every epoch", "early_stop": "never",
    "metric": "the first of the task", "normalize": "auto", "pooling_strategy": "the folder's own",
    "keep_checkpoints": "no others", "word_column": "the first that does not only count",
    "tag_column": "the last",
}  # fmt: skip


def helped(name: str, help: str, default: Any = REQUIRED) -> Any:
    """A field for a shared flag that means something else in one command.

    Args:
        name: of the flag.
        help: what it is there, in a sentence.
        default: of the field.
    """
    flag = SHARED[name]
    return option(
        default,
        flag.type,
        help,
        flag.spellings,
        flag.group,
        flag.metavar,
        nargs=flag.nargs,
        const=flag.const,
        note=flag.note,
    )
