"""Whole command lines of the older systems' documentation, and what does not go together."""

from __future__ import annotations

import pytest

from plainbert.recipes import finetune_classifier, finetune_ner, finetune_squad

RESULTS = ("batch_size", "accumulate", "local_ranks", "epochs", "dtype", "export", "only_inference")


@pytest.mark.parametrize(
    ("recipe", "line", "expected"),
    [
        (  # bert-multi-gpu, but for the three files of the model: 32 rows on each of four GPUs
            finetune_classifier,
            "--task_name=QQP --do_lower_case=true --do_train=true --do_eval=true --do_predict=true "
            "--save_for_serving=true --data_dir=/d/QQP --model_dir=/m --max_seq_length=128 "
            "--train_batch_size=32 --learning_rate=2e-5 --num_train_epochs=3.0 --use_gpu=true "
            "--num_gpu_cores=4 --use_fp16=true --output_dir=/o",
            (32, 1, 4, 3, "float16", "savedmodel", False),
        ),
        (
            finetune_ner,
            "--do_lower_case=true --do_train=true --do_eval=true --do_predict=true --train-path t "
            "--model_dir=/m --max_seq_length=128 --train_batch_size=32 --learning_rate=5e-5 "
            "--num_train_epochs=10.0 --use_gpu=true --num_gpu_cores=4 --output_dir=/o",
            (32, 1, 4, 10, "auto", None, False),
        ),
        (  # pytorch-pretrained-BERT on four GPUs: 24 rows a step, in two passes
            finetune_squad,
            "--do_lower_case --do_train --do_predict --train_file t --predict_file d "
            "--learning_rate 3e-5 --num_train_epochs 2 --max_seq_length 384 --doc_stride 128 "
            "--train_batch_size 24 --gradient_accumulation_steps 2 --gpus 0,1,2,3",
            (3, 2, 4, 2, "auto", None, False),
        ),
        (
            finetune_classifier,
            "--task_name MRPC --do_train --do_eval --do_lower_case --data_dir /g/MRPC/ "
            "--max_seq_length 128 --train_batch_size 32 --learning_rate 2e-5 "
            "--num_train_epochs 3.0 --output_dir /tmp/mrpc_output/",
            (32, 1, 1, 3, "auto", None, False),
        ),
        (  # BERT-Classifier: its 16 rows are shared by the processes
            finetune_classifier,
            "--train_file t --dev_file e --train_batch_size=16 --num_train_epochs=1 "
            "--warmup_proportion=0.1 --save_checkpoints_steps=1000 --use_GPU=True "
            "--num_local_ranks 4",
            (4, 1, 4, 1, "auto", None, False),
        ),
        (
            finetune_classifier,
            "--task_name MRPC --model_parameters m --do_train=false --do_predict=true",
            (32, 1, 1, 3, "auto", None, True),
        ),
    ],
)
def test_documented_command_lines(recipe: object, line: str, expected: tuple[object, ...]) -> None:
    settings = recipe.parse_args(line.split())  # type: ignore[attr-defined]

    assert tuple(getattr(settings, name) for name in RESULTS) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--train_batch_size 10 --gpus 0,1,2", "a multiple of the 3 parts"),
        ("--train_batch_size 2 --num_local_ranks 4", "a multiple of"),
        ("--train_batch_size 8 --batch_size 8", "exclude each other"),
        ("--use_fp16=true --dtype bfloat16", "--use_fp16 and --dtype exclude each other"),
        ("--num_gpu_cores 2 --gpus 0", "exclude each other"),
        ("--save_for_serving --export onnx", "exclude each other"),
        ("--num_train_epochs 0.5", "--training_steps stops anywhere"),
        ("--do_train maybe", "neither true nor false"),
    ],
)
def test_what_does_not_go_together(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        finetune_classifier.parse_args(["--task_name", "MRPC", *line.split()])
    assert said in capsys.readouterr().err


def test_their_checkpoints_and_evaluations() -> None:
    settings = finetune_classifier.parse_args(
        ["--task_name", "MRPC", "--save_checkpoints_steps", "1000"]
    )
    assert settings.save_steps == 1000
    assert any("--eval_steps evaluates as often" in note for note in settings.notes)
