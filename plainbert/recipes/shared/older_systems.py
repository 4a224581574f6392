"""Flags of older systems' command lines that are refused here, each naming what to use.

They are those of BERT-Classifier, bert-multi-gpu, pytorch-pretrained-BERT, bert-as-service and
Google's BERT, in the commands that their users reach for; what works stands with the flags of the
commands, and in :mod:`plainbert.recipes.shared.older_training`. Free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plainbert.cli.parser import Parser
from plainbert.cli.program import as_started

Refusals = Mapping[tuple[str, ...], str]  # spellings -> what to use

FINE_TUNE = ("finetune_classifier", "finetune_ner", "finetune_squad")
PREDICT = ("predict_classifier", "predict_ner", "predict_squad")
NOT_NEEDED = "it is not needed here; leave it out."

TPU: Refusals = {
    ("--use_tpu", "--tpu_name", "--tpu_zone", "--gcp_project", "--master", "--num_tpu_cores"): (
        "TPUs are not supported; leave it out for GPU or CPU."
    ),
}
FOLDER: Refusals = {
    ("--bert_config_file", "--vocab_file", "--init_checkpoint"): (
        "--model_dir {folder} takes the folder that holds all three."
    ),
}
TRAINING: Refusals = {
    **FOLDER,
    ("--tensorboard_dir",): "the events for TensorBoard are written into --output_dir.",
    ("--cycle",): "--schedule polynomial --schedule_cycles K are its names here.",
    ("--keep_checkpoint_max",): "--keep_checkpoints N keeps the last N beside the best.",
    ("--label_smoothing",): (
        "labels are learned as they are; leave it out (BERT-Classifier's default was 0.1)."
    ),
    ("--optimize_on_cpu",): (
        "--accumulate, --dtype bfloat16 and, on several GPUs, --dist_strategy zero1 save memory."
    ),
    ("--loss_scale",): "--dtype float16 scales its loss by itself.",
    ("--verbose_logging",): "--verbose is its name here.",
    ("--num_labels",): "the classes are read from the training data; leave it out.",
}
PREDICTION: Refusals = {
    **FOLDER,
    ("--output_file",): "--output is its name here.",
    ("--do_train", "--do_eval", "--do_predict"): "this script predicts; leave it out.",
    ("--task_name", "--num_labels"): "the model's folder says it; leave it out.",
    ("--eval_batch_size", "--predict_batch_size"): NOT_NEEDED,
    ("--no_cuda", "--use_gpu"): "--gpus '' computes on the CPU; a GPU is used where there is one.",
    ("--num_gpu_cores",): "--gpus 0,1,... names them.",
    ("--use_fp16", "--fp16"): "--dtype float16 is its name here.",
    ("--verbose_logging",): "--verbose is its name here.",
}
_SERVER = "there is no server here: --output FILE.npz keeps the vectors in a file."
EMBEDDING: Refusals = {
    **FOLDER,
    ("--tuned_model_dir", "--ckpt_name", "--config_name"): (
        "--model_dir {folder} takes the folder of the fine-tuned model."
    ),
    ("--input_file",): "--file is its name here.",
    ("--output_file",): "--output is its name here; .npz or .jsonl.",
    ("--layers",): "--pooling_strategy NONE --pooling_layer -1 --output FILE.npz keeps every "
    "token's vector of a layer; several layers are joined end to end.",
    ("--no_cuda", "--cpu"): "--gpus '' computes on the CPU.",
    ("--device_map",): "--gpu INDEX names the GPU.",
    ("--fp16",): "--dtype float16 is its name here.",
    ("--cased_tokenization",): "--do_lower_case false is its name here.",
    ("--max_batch_size",): "--batch_size is its name here.",
    ("--num_worker",): "one process computes; --threads sets how many threads it has.",
    ("--no_special_token", "--no_position_embeddings"): (
        "BERT was trained with them; leave it out. --mask_cls_sep leaves [CLS] and [SEP] out of "
        "the vectors."
    ),
    ("--fixed_embed_length",): (
        "a text has as many vectors as tokens with --pooling_strategy NONE; leave it out."
    ),
    ("--num_labels",): (
        "python scripts/bert/predict_classifier.py --model_dir FOLDER gives the classes' "
        "probabilities."
    ),
    (
        "--port", "--port_in", "--port_data", "--port_out", "--port_result", "--http_port",
        "--http_max_connect", "--cors", "--show_tokens_to_client",
    ): _SERVER,
    (
        "--xla", "--gpu_memory_fraction", "--graph_tmp_dir", "--prefetch_size",
        "--priority_batch_size",
    ): NOT_NEEDED,
}  # fmt: skip
SOURCE = "--from {folder} reads it."
CONVERSION: Refusals = {
    ("--tf_checkpoint_path", "--tf_checkpoint_dir", "--pytorch_checkpoint_dir"): SOURCE,
    ("--init_checkpoint",): SOURCE,
    ("--bert_config_file",): "--from {folder} takes the folder that holds it.",
    ("--pytorch_dump_path",): "--to {folder} --format pytorch writes it.",
    ("--out_dir",): "--to FOLDER --format gluonnlp writes it.",
    ("--model", "--model_name"): "the size is read from the files; leave it out.",
}
GOOGLE_PRETRAINING: Refusals = {
    ("--bert_config_file",): (
        "--model bert_LAYERS_UNITS_HEADS says the size; --model_dir goes on from a checkpoint."
    ),
    ("--init_checkpoint",): "--model_dir {folder} goes on from it.",
    ("--input_file",): "--data names what is trained on, --data_eval what is evaluated.",
    ("--do_train", "--do_eval"): "--data trains and --data_eval evaluates; leave it out.",
    ("--train_batch_size",): "--total_batch_size is its name here.",
    ("--eval_batch_size", "--iterations_per_loop"): NOT_NEEDED,
    ("--num_train_steps",): "--num_steps is its name here.",
    ("--num_warmup_steps",): "--warmup_ratio takes their share of --num_steps.",
    ("--save_checkpoints_steps",): "--ckpt_interval is its name here.",
    ("--max_eval_steps",): "--max_eval_samples N evaluates the first N.",
    ("--use_gpu",): "a GPU is used where there is one; --gpus '' computes on the CPU.",
}
GOOGLE_DATA: Refusals = {
    ("--output_file",): "--output_dir names the folder of its shards.",
    ("--do_whole_word_mask",): "--whole_word_mask is its name here.",
}
# GluonNLP v0.9's flags for exported and int8 models.
QUANTIZATION: Refusals = {
    ("--deploy", "--model_prefix"): (
        "a trained folder predicts with python scripts/bert/{predict}.py --model_dir FOLDER, and "
        "is exported with python scripts/export/export.py --format onnx."
    ),
    (
        "--only_calibration", "--num_calib_batches", "--quantized_dtype", "--calib_mode",
        "--custom_pass_lib", "--custom_passes",
    ): "python scripts/export/export.py --format onnx --int8 --file TEXTS writes an int8 model; "
    "graph passes belonged to MXNet.",
}  # fmt: skip

_CLASSIFIER = "python scripts/bert/predict_classifier.py --model_dir OUTPUT_DIR/best --file FILE"
_TAGGER = "python scripts/bert/predict_ner.py --model_dir OUTPUT_DIR/best --test-path FILE"
OF_COMMAND: dict[str, tuple[Refusals, ...]] = {
    "finetune_classifier": (
        QUANTIZATION, TRAINING,
        {("--predict_file",): f"{_CLASSIFIER} predicts it after the training."},
    ),
    "finetune_squad": (QUANTIZATION, TRAINING),
    "finetune_ner": (
        TRAINING,
        {
            ("--data_dir",): "--train-path DIR/train.tsv --dev-path DIR/dev.tsv --test-path "
            "DIR/test.tsv name its files.",
            ("--task_name",): "the labels are read from --train-path; leave it out.",
            ("--predict_file",): f"{_TAGGER} tags it after the training.",
        },
    ),
    "predict_classifier": (PREDICTION, {
        ("--predict_file", "--input_file"): "--file is its name here.",
        ("--data_dir",): "--file DIR/test.tsv names its file.",
    }),
    "predict_ner": (PREDICTION, {
        ("--predict_file", "--input_file"): "--test-path is its name here, --file for plain text.",
        ("--data_dir",): "--test-path DIR/test.tsv names its file.",
    }),
    "predict_squad": (PREDICTION, {("--input_file",): "--predict_file is its name here."}),
    "embedding": (EMBEDDING,),
    "convert_checkpoint": (CONVERSION,),
    "run_pretraining": (GOOGLE_PRETRAINING,),
    "create_pretraining_data": (GOOGLE_DATA, TPU),
}  # fmt: skip


def refusals(command: str) -> Callable[[Parser], None]:
    """What lets the older systems' flags exit, naming what to use in a command.

    Args:
        command: name of the recipe.
    """
    predict = command.replace("finetune", "predict")

    def extend(parser: Parser) -> None:
        for table in OF_COMMAND[command]:
            for spellings, reason in table.items():
                reason = as_started(reason.replace("{predict}", predict))
                parser.refuse(*spellings, reason=reason)

    return extend
