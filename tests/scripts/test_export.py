"""``scripts/export/export.py`` as users run it, over torch's runtime, which is always here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint
from plainbert.cli.run import run
from plainbert.errors import UsageError
from plainbert.export.manifest import Manifest
from plainbert.recipes import export as script
from plainbert.recipes import finetune_classifier, finetune_ner, predict_squad
from tests.helpers import folders

HERE = Path(__file__).resolve().parents[2]
WORDS = ("cat", "the", "a", "b", "c", "aba")


def model(tmp_path: Path, head: str, **about: Any) -> str:
    torch.manual_seed(1)
    return str(
        checkpoint.write(tmp_path / head, folders.tiny(head), folders.tokenizer(), about=about)
    )


def export(folder: str, out: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = script.main(
        ["--model_dir", folder, "--format", "torch", "--output_dir", str(out), *words]
    )
    return found


def test_exported_and_evaluated_rows(tmp_path: Path) -> None:
    rows = [
        f"{word} {other}\t{label}"
        for word, other, label in zip(WORDS * 5, WORDS[1:] * 6, folders.LABELS * 10, strict=False)
    ]
    data = tmp_path / "dev.tsv"
    data.write_text("\n".join(["text\tlabel", *rows]) + "\n")
    folder, out = model(tmp_path, "classification"), tmp_path / "out"
    found = export(folder, out, "--sentences", "the cat", "a ||| b", "--max_len", "12")
    assert found["texts"] == 2
    assert Manifest.read(out).max_length == 12

    scores = script.main(["--evaluate", str(out), "--dev_file", str(data)])
    wanted = finetune_classifier.main(
        ["--model_dir", folder, "--only_inference", "--dev_file", str(data), "--output_dir",
         str(tmp_path / "run"), "--dtype", "float32"]
    )  # fmt: skip
    assert scores["dev"] == pytest.approx(wanted["dev"])
    assert 0 < scores["dev"]["accuracy"] < 1
    assert scores["per_second"] > 0


def test_evaluated_sentences(tmp_path: Path) -> None:
    lines = ["the O", "cat O", "", "b O", "a O", "aba O", ""]
    folder = model(tmp_path, "token_classification")
    tags = json.loads((Path(folder) / "config.json").read_text())["id2label"].values()
    data = tmp_path / "dev.conll"
    data.write_text("\n".join(lines).replace("b O", f"b {list(tags)[1]}"))
    export(folder, tmp_path / "out")
    scores = script.main(["--evaluate", str(tmp_path / "out"), "--dev_file", str(data)])
    wanted = finetune_ner.main(
        ["--model_dir", folder, "--only_inference", "--dev-path", str(data), "--output_dir",
         str(tmp_path / "run"), "--dtype", "float32"]
    )  # fmt: skip
    assert scores["dev"] == pytest.approx(wanted["dev"])


def test_evaluated_questions(tmp_path: Path) -> None:
    context = "the cat a b c the aba " * 9
    qas = [
        {
            "id": str(row),
            "question": f"{word} ?",
            "answers": [{"text": word, "answer_start": context.index(word)}],
        }
        for row, word in enumerate(WORDS)
    ]
    data = tmp_path / "dev.json"
    data.write_text(
        json.dumps(
            {
                "version": "1.1",
                "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}],
            }
        )
    )
    about = {"max_length": 24, "doc_stride": 8, "max_query_length": 8}
    folder = model(tmp_path, "question_answering", **about)
    export(folder, tmp_path / "out")
    scores = script.main(["--evaluate", str(tmp_path / "out"), "--dev_file", str(data)])
    wanted = predict_squad.main(["--model_dir", folder, "--file", str(data)])
    assert scores["dev"] == pytest.approx(wanted["scores"])


@pytest.mark.parametrize(
    ("words", "unit"),
    [
        ([], True),
        (["--pooling_strategy", "mean"], True),
        (["--pooling_strategy", "REDUCE_MEAN", "--normalize", "false"], False),
        (["--normalize", "auto", "--pooling_strategy", "cls"], True),
    ],
)
def test_length_of_vectors(tmp_path: Path, words: list[str], unit: bool) -> None:
    folder = model(tmp_path, "embedding", pooling="mean", normalize=True)
    export(folder, tmp_path / "out", *words)
    pooling = Manifest.read(tmp_path / "out").pooling
    assert pooling is not None
    assert pooling["normalize"] is unit


def test_at_the_end_of_training(tmp_path: Path) -> None:
    data = tmp_path / "train.tsv"
    data.write_text("text\tlabel\n" + "the cat\tyes\nb a\tno\n" * 4)
    torch.manual_seed(1)
    body = checkpoint.write(tmp_path / "body", folders.tiny("embedding"), folders.tokenizer())
    finetune_classifier.main(
        [
            "--model_dir",
            str(body),
            "--train_file",
            str(data),
            "--dev_file",
            str(data),
            "--output_dir",
            str(tmp_path / "run"),
            "--epochs",
            "1",
            "--batch_size",
            "4",
            "--export",
            "torch",
        ]
    )
    written = Manifest.read(tmp_path / "run" / "export-torch")
    assert written.labels == ("no", "yes")
    assert written.origin["data"] == {"train_file": "train.tsv", "dev_file": "train.tsv"}
    scores = json.loads((tmp_path / "run" / "eval_results.json").read_text())
    assert written.origin["scores"]["dev"] == scores["dev"]
    assert written.check["difference"] < 1e-6


def test_a_runtime_that_is_missing_is_found_out_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "train.tsv"
    data.write_text("text\tlabel\nthe cat\tyes\nb a\tno\n")
    body = checkpoint.write(tmp_path / "body", folders.tiny("embedding"), folders.tokenizer())
    monkeypatch.setenv("PLAINBERT_MXNET", "nowhere")
    words = ["--model_dir", str(body), "--train_file", str(data), "--output_dir",
             str(tmp_path / "run"), "--export", "mxnet"]  # fmt: skip
    with pytest.raises(UsageError, match="mxnet runs in a Python of its own.*no nowhere"):
        finetune_classifier.main(words)
    assert not (tmp_path / "run").exists()

    monkeypatch.setenv("PLAINBERT_MXNET", sys.executable)
    with pytest.raises(UsageError, match="lacks what mxnet needs"):
        finetune_classifier.main(words)


def test_random_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vocab = tmp_path / "vocab.txt"
    folders.tokenizer().vocab.save_txt(vocab)
    script.main(
        [
            "--task",
            "classification",
            "--bert_model",
            "bert_2_32_4",
            "--vocab",
            str(vocab),
            "--do_lower_case",
            "--format",
            "torch",
            "--output_dir",
            str(tmp_path / "out"),
        ]
    )
    assert "bert_2_32_4 with random weights" in caplog.text
    assert Manifest.read(tmp_path / "out").labels == ("0", "1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "mxnet", "--int8"], "--int8 goes with --format onnx; this is --format mxnet"),
        (["--format", "tflite"], "no format is named 'tflite'"),
        (["--task", "translation"], "no task is named 'translation'"),
        (["--dtype", "bfloat16"], "exports are of float32"),
        ([], "no model: give --model_dir"),
        (["--evaluate", "."], "no manifest.json: it is no exported model"),
    ],
)
def test_mistakes(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(lambda: script.main([*words, "--output_dir", str(tmp_path / "out")]))
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_kill_in_the_middle_leaves_no_folder(tmp_path: Path) -> None:
    folder, out = model(tmp_path, "classification"), tmp_path / "out"
    code = (
        "import os; from plainbert.export import bundle; from plainbert.recipes import export; "
        "bundle.check = lambda *_: os.kill(os.getpid(), 9); "
        "export.main(['--model_dir', "
        f"{folder!r}, '--format', 'torch', '--output_dir', {str(out)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    assert not out.exists()
    export(folder, out)  # the leftover is in nobody's way
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classification", "out"]
