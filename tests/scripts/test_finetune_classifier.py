"""The script as users run it: numbers on real text, files it leaves, mistakes it names."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from plainbert import checkpoint, model_zoo
from plainbert.cli.run import run
from plainbert.recipes import finetune_classifier as script
from tests.helpers import folders

HERE = Path(__file__).resolve().parents[2]
SCRIPT = HERE / "scripts/bert/finetune_classifier.py"
SMS = HERE / "data/sms_spam"


def shell(*words: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        **kwargs,
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder in a folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return checkpoint.write(folder, folders.tiny("embedding"), folders.tokenizer())


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two classes that one word tells apart."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 96), ("dev", 32), ("test", 24)):
        lines = ["text\tlabel"]
        for number in range(count):
            words = list(generator.choice(["b", "c", "the", "cat"], generator.integers(1, 9)))
            if number % 2:
                words.insert(int(generator.integers(0, len(words) + 1)), "a")
            lines.append(f"{' '.join(words)}\t{'yes' if number % 2 else 'no'}")
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def words_for(tiny: Path, rows: Path, *more: str) -> list[str]:
    return [
        "--model_dir",
        str(tiny),
        "--train_file",
        str(rows / "train.tsv"),
        "--dev_file",
        str(rows / "dev.tsv"),
        "--test_file",
        str(rows / "test.tsv"),
        "--text_columns",
        "text",
        "--epochs",
        "20",
        "--lr",
        "1e-3",
        "--batch_size",
        "8",
        "--max_len",
        "16",
        "--dtype",
        "float32",
        "--output_dir",
        str(rows / "run"),
        *more,
    ]


def test_learns_and_leaves_everything_behind(tiny: Path, rows: Path) -> None:
    scores = script.main(words_for(tiny, rows))

    assert scores["dev"]["accuracy"] >= 0.9
    assert scores["test"]["accuracy"] >= 0.85
    run = rows / "run"
    assert json.loads((run / "eval_results.json").read_text()) == scores
    lines = (run / "table.tsv").read_text().splitlines()
    assert lines[0] == "index\tprediction"
    assert [line.split("\t")[0] for line in lines[1:]] == [str(row) for row in range(24)]
    right = [row.split("\t")[1] for row in (rows / "test.tsv").read_text().splitlines()[1:]]
    said = [line.split("\t")[1] for line in lines[1:]]
    share = sum(a == b for a, b in zip(said, right, strict=True)) / 24
    assert share == pytest.approx(scores["test"]["accuracy"])
    with (run / "test_predictions.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    texts = [row.split("\t")[0] for row in (rows / "test.tsv").read_text().splitlines()[1:]]
    assert [(row["text"], row["gold"], row["label"]) for row in table] == list(
        zip(texts, right, said, strict=True)
    )
    for number, row in enumerate(table):
        shares = {"no": float(row["p(no)"]), "yes": float(row["p(yes)"])}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert (max(shares, key=lambda name: shares[name]), row["row"]) == (
            row["label"], str(number),
        )  # fmt: skip
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluated = [record for record in records if "dev/accuracy" in record]
    assert [record["step"] for record in evaluated] == [12 * epoch for epoch in range(1, 21)]
    best = max(evaluated, key=lambda record: record["dev/accuracy"])
    assert (run / "best").readlink() == Path(f"step-{best['step']:07d}")
    about = json.loads((run / "best/plainbert.json").read_text())
    assert (about["task"], about["max_length"], about["texts"]) == ("table", 16, 1)
    assert model_zoo.labels_of(run / "best") == ("no", "yes")
    assert json.loads((run / "args.json").read_text())["flags"]["lr"] == 1e-3


def test_without_a_dev_file_the_last_model_is_kept_and_it_is_said(
    tiny: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_for(tiny, rows, "--epochs", "1")
    for name in ("--dev_file", "--test_file"):
        place = words.index(name)
        del words[place : place + 2]
    assert script.main(words) == {}
    why = "there is no dev set with labels: the last model is kept"
    out, err = capsys.readouterr()
    assert f"{why}; --dev_file lets the best one be chosen." in err
    assert "the last model is of step" in err
    run = rows / "run"
    assert json.loads((run / "eval_results.json").read_text()) == {"kept": "last", "why": why}
    assert out.startswith(f"model: {run / 'last'}\nnext: ")


def test_only_inference_repeats_the_scores(tiny: Path, rows: Path) -> None:
    trained = script.main(words_for(tiny, rows, "--epochs", "2"))
    again = script.main(
        [
            "--model_parameters", str(rows / "run/best"), "--only_inference", "--dev_file",
            str(rows / "dev.tsv"), "--test_file", str(rows / "test.tsv"), "--text_columns", "text",
            "--max_len", "16", "--dtype", "float32", "--output_dir", str(rows / "again"),
        ]
    )  # fmt: skip

    assert again == trained
    assert not (rows / "again/best").exists()


def test_a_stopped_run_ends_with_the_weights_it_would_have_had(tiny: Path, rows: Path) -> None:
    whole = words_for(tiny, rows, "--epochs", "3", "--save_steps", "5")
    script.main(whole)
    end = load_file(rows / "run/last/model.safetensors")
    shutil.rmtree(rows / "run")
    with pytest.raises(_StopHere):
        _stop_after(whole, step=17)
    script.main([*whole, "--resume"])
    resumed = load_file(rows / "run/last/model.safetensors")

    assert end.keys() == resumed.keys()
    assert all(torch.equal(end[name], resumed[name]) for name in end)


class _StopHere(Exception):
    """Stands for a kill between two steps."""


def _stop_after(words: list[str], step: int) -> None:
    from plainbert.train.step import Stepper

    original = Stepper.step

    def counted(self: Stepper, number: int, *rest: object) -> object:
        if number == step:
            raise _StopHere
        return original(self, number, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", counted)
        script.main(words)


def test_accumulating_is_one_large_batch(tiny: Path, rows: Path) -> None:
    common = ("--dropout", "0", "--attention_dropout", "0", "--epochs", "2", "--optimizer", "sgd")
    script.main(words_for(tiny, rows, *common, "--batch_size", "16"))
    one = load_file(rows / "run/last/model.safetensors")
    script.main(
        words_for(tiny, rows, *common, "--batch_size", "4", "--accumulate", "4", "--overwrite")
    )
    four = load_file(rows / "run/last/model.safetensors")

    for name in one:
        torch.testing.assert_close(four[name], one[name], rtol=0, atol=1e-6)


def test_a_glue_task_from_its_folder(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLUE_DIR", str(HERE / "data/glue_data"))
    scores = script.main(
        [
            "--task_name", "sts-b", "--model_dir", str(tiny), "--epochs", "1",
            "--max_train_samples", "64", "--max_eval_samples", "50", "--max_len", "32",
            "--output_dir", str(tmp_path / "run"),
        ]
    )  # fmt: skip

    assert set(scores["dev"]) == {"pearson", "spearman"}
    lines = (tmp_path / "run/STS-B.tsv").read_text().splitlines()
    assert lines[0] == "index\tprediction"
    assert len(lines) == 51
    float(lines[1].split("\t")[1])


@pytest.mark.slow
def test_real_weights_on_real_messages(tmp_path: Path) -> None:
    scores = script.main(
        [
            "--model_dir", "all-MiniLM-L6-v2", "--train_file", str(SMS / "train.tsv"),
            "--dev_file", str(SMS / "dev.tsv"), "--text_columns", "text", "--lr", "1e-4",
            "--epochs", "1", "--max_train_samples", "640", "--output_dir", str(tmp_path / "run"),
        ]
    )  # fmt: skip

    # 86 % are ham: a model that learns nothing stays there.
    assert scores["dev"]["accuracy"] >= 0.95
    assert scores["dev"]["f1"] >= 0.8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task_name", "MRCP"], "Did you mean 'MRPC'?"),
        (["--task_name", "no.py:Mine"], "there is no file no.py"),
        ([], "nothing to learn"),
        (["--task_name", "RTE", "--train_file", "x"], "exclude each other"),
        (["--dev_file", "DEV"], "--train_file is missing"),
        (["--train_file", "TRAIN", "--label_column", "lable"], "lable"),
        (["--train_file", "TRAIN", "--text_columns", "txt"], "Did you mean 'text'?"),
        (["--train_file", "TRAIN", "--dev_file", "OTHER"], "maybe"),
        (["--train_file", "EMPTY"], "empty"),
        (["--train_file", "TRAIN", "--gpu", "0"], "this machine has none"),
        (["--train_file", "TRAIN", "--model_dir", "all-MiniLM-L6-v3"], "all-MiniLM-L6-v2"),
        (["--train_file", "TRAIN", "--optimizer", "adamm"], "adam"),
        (["--train_file", "TRAIN", "--deploy"], "plainbert export"),
        (["--train_file", "TRAIN", "--max_len", "400"], "32"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named(
    tiny: Path, rows: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (rows / "empty.tsv").write_text("")
    (rows / "other.tsv").write_text("text\tlabel\na b\tmaybe\n")
    names = {"TRAIN": "train.tsv", "DEV": "dev.tsv", "OTHER": "other.tsv", "EMPTY": "empty.tsv"}
    words = [str(rows / names[word]) if word in names else word for word in words]
    model = [] if "--model_dir" in words else ["--model_dir", str(tiny)]
    with pytest.raises(SystemExit) as ended:
        run(lambda: script.main([*words, *model, "--output_dir", str(rows / "run")]))

    assert ended.value.code == 2
    printed = capsys.readouterr().err
    errors = printed[printed.index("error: ") :].strip().splitlines()
    assert 1 <= len([line for line in errors if not line.startswith("  - ")]) <= 3
    assert said in " ".join(errors)


def test_a_second_run_does_not_overwrite_the_first(tiny: Path, rows: Path) -> None:
    words = words_for(tiny, rows, "--epochs", "1")
    script.main(words)
    done = shell(*words)

    assert done.returncode == 2
    assert "--resume" in done.stderr
    assert "--overwrite" in done.stderr
