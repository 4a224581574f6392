"""Several labels per text, against transformers' pipeline and scikit-learn."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
import transformers

import plainbert
from plainbert import checkpoint, model_zoo
from plainbert.batching.features import tokenized
from plainbert.errors import DataError, UnknownNameError, UsageError
from plainbert.export import bundle
from plainbert.export.manifest import Manifest
from plainbert.export.source import source_of
from plainbert.export.torch.format import TorchFormat
from plainbert.infer.logits import run
from plainbert.nn.layout import Padded
from plainbert.nn.names import MULTI_LABEL
from plainbert.recipes import export, finetune_classifier, predict_classifier
from plainbert.tasks.classification import several
from tests.helpers import folders

LABELS = ("toxic", "insult", "threat")
TEXTS = ["the cat", "a b c a", "c", "b the cat the"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    model: Any = folders.tiny(id2label=LABELS, problem_type=MULTI_LABEL)
    features = tokenized(folders.tokenizer(), TEXTS, 16, folders.CONFIG.max_position_embeddings)
    # Each label is more probable than not in half of the texts.
    model.classifier.bias.data -= torch.from_numpy(np.median(run(model, features), 0)).float()
    path = tmp_path_factory.mktemp("several") / "model"
    return checkpoint.write(path, model, folders.tokenizer())


@pytest.fixture(scope="module")
def theirs(folder: Path) -> list[dict[str, float]]:
    """The probabilities that transformers' pipeline gives."""
    pipe = transformers.pipeline("text-classification", model=str(folder), top_k=None)
    return [{row["label"]: row["score"] for row in rows} for rows in pipe(TEXTS)]


def test_probabilities_are_those_of_the_pipeline(
    folder: Path, theirs: list[dict[str, float]]
) -> None:
    predictions = plainbert.load(folder).predict(TEXTS)

    for prediction, right in zip(predictions, theirs, strict=True):
        assert list(prediction.probabilities) == list(LABELS)
        assert prediction.probabilities == pytest.approx(right, abs=1e-5)
        assert prediction.label == max(right, key=lambda label: right[label])
        assert prediction.labels == tuple(label for label in LABELS if right[label] >= 0.5)
    sums = [sum(prediction.probabilities.values()) for prediction in predictions]
    assert not any(math.isclose(total, 1, abs_tol=1e-3) for total in sums)
    assert len({prediction.labels for prediction in predictions}) > 1


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_the_table_of_predictions(
    folder: Path, theirs: list[dict[str, float]], tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"out{suffix}"
    predict_classifier.main(
        ["--model_dir", str(folder), "--sentences", *TEXTS, "--output", str(output)]
    )
    lines = output.read_text().splitlines()
    if suffix == ".tsv":
        header = lines[0].split("\t")
        rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
    else:
        rows = [json.loads(line) for line in lines]
    assert len(rows) == len(TEXTS)
    for row, right in zip(rows, theirs, strict=True):
        assert [float(row[f"p({label})"]) for label in LABELS] == pytest.approx(
            [right[label] for label in LABELS], abs=1e-5
        )
        assert row["labels"] == ",".join(label for label in LABELS if right[label] >= 0.5)


def test_scores_without_training(
    folder: Path, theirs: list[dict[str, float]], tmp_path: Path
) -> None:
    """Cells with several names, a score of scikit-learn for each metric, and a file of all."""
    gold = ["toxic", "insult, toxic", "threat;toxic|insult", "threat"]
    rows = "".join(f"{text}\t{label}\n" for text, label in zip(TEXTS, gold, strict=True))
    (tmp_path / "dev.tsv").write_text("text\tlabel\n" + rows)
    (tmp_path / "test.tsv").write_text("text\n" + "\n".join(TEXTS) + "\n")
    scores = finetune_classifier.main(
        ["--model_parameters", str(folder), "--only_inference", "--dev_file",
         str(tmp_path / "dev.tsv"), "--test_file", str(tmp_path / "test.tsv"), "--text_columns",
         "text", "--dtype", "float32", "--output_dir", str(tmp_path / "run")]
    )  # fmt: skip

    want = [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]]
    got = [[int(right[label] >= 0.5) for label in LABELS] for right in theirs]
    assert scores["dev"] == {
        "micro_f1": sklearn.metrics.f1_score(want, got, average="micro", zero_division=0),
        "macro_f1": sklearn.metrics.f1_score(want, got, average="macro", zero_division=0),
        "accuracy": sklearn.metrics.accuracy_score(want, got),
    }
    lines = (tmp_path / "run" / "table.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["index", "prediction", *(f"p({label})" for label in LABELS)]
    for line, right, flags in zip(lines[1:], theirs, got, strict=True):
        cells = line.split("\t")
        chosen = [label for label, flag in zip(LABELS, flags, strict=True) if flag]
        assert cells[1] == ",".join(chosen)
        assert [float(cell) for cell in cells[2:]] == pytest.approx(
            [right[label] for label in LABELS], abs=1e-5
        )


def test_labels_and_metrics_that_are_not_known(folder: Path, tmp_path: Path) -> None:
    common = ["--model_parameters", str(folder), "--only_inference", "--text_columns", "text"]
    common += ["--dev_file", str(tmp_path / "dev.tsv"), "--output_dir", str(tmp_path / "run")]
    (tmp_path / "dev.tsv").write_text("text\tlabel\na\ttoxic,insulting\n")
    with pytest.raises(DataError, match=r"'insulting' is not one of.*Did you mean 'insult'"):
        finetune_classifier.run(finetune_classifier.parse_args(common))
    (tmp_path / "dev.tsv").write_text("text\tlabel\na\ttoxic,insult\n")
    with pytest.raises(UnknownNameError, match="accuracy, macro_f1, micro_f1"):
        finetune_classifier.run(
            finetune_classifier.parse_args([*common, "--metric", "mcc", "--overwrite"])
        )


@pytest.mark.parametrize("kind", ["several", "one", "regression"])
def test_an_export_says_the_same(tmp_path: Path, folder: Path, kind: str) -> None:
    source = folder
    if kind != "several":
        model: Any = folders.tiny("regression" if kind == "regression" else "classification")
        source = checkpoint.write(tmp_path / "model", model, folders.tokenizer())
    out = tmp_path / "out"
    bundle.export(source_of(model_zoo.open_folder(source), "m"), out, TorchFormat())
    assert Manifest.read(out).several is (kind == "several")
    done = subprocess.run(
        [sys.executable, "predict.py", "the cat"], cwd=out, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if kind == "several":
        header, row = (line.split("\t") for line in done.stdout.splitlines())
        right = plainbert.load(folder).predict("the cat")
        assert right.labels is not None
        assert row[:3] == ["the cat", right.label, ",".join(right.labels)]
        assert header[3:] == [f"p({label})" for label in right.probabilities]
        shares = [float(cell) for cell in row[3:]]
        assert shares == pytest.approx([*right.probabilities.values()], abs=1e-5)
        (tmp_path / "dev.tsv").write_text("text\tlabel\nthe cat\ttoxic,insult\n")
        scores = export.main(
            ["--evaluate", str(out), "--dev_file", str(tmp_path / "dev.tsv"),
             "--text_columns", "text"]
        )  # fmt: skip
        assert set(several.METRICS) <= set(scores["dev"])


@pytest.mark.parametrize("kind", ["several", "several, same labels", "regression"])
def test_what_a_run_of_one_label_writes(tmp_path: Path, folder: Path, kind: str) -> None:
    """Started from a model of several labels, or from a regressor."""
    labels = LABELS if kind == "several, same labels" else ("no", "yes")
    start = folder
    if kind == "regression":
        start = checkpoint.write(tmp_path / "m", folders.tiny("regression"), folders.tokenizer())  # type: ignore[arg-type]
    rows = "".join(f"{text}\t{labels[i % len(labels)]}\n" for i, text in enumerate(TEXTS))
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + rows)
    common = ["--model_dir", str(start), "--train_file", str(tmp_path / "train.tsv"),
              "--text_columns", "text", "--epochs", "1"]  # fmt: skip
    finetune_classifier.main([*common, "--output_dir", str(tmp_path / "run")])
    config = json.loads((tmp_path / "run/last/config.json").read_text())
    assert config["problem_type"] == "single_label_classification"
    predictions = plainbert.load(tmp_path / "run/last").predict(TEXTS)
    assert all(sum(row.probabilities.values()) == pytest.approx(1) for row in predictions)
    assert all(row.labels is None for row in predictions)

    numbers = "".join(f"{text}\t{i + 0.5}\n" for i, text in enumerate(TEXTS))
    (tmp_path / "train.tsv").write_text("text\tlabel\n" + numbers)
    finetune_classifier.main([*common, "--output_dir", str(tmp_path / "numbers")])
    config = json.loads((tmp_path / "numbers/last/config.json").read_text())
    assert (config["problem_type"], len(config["id2label"])) == ("regression", 1)
    # A regression that training detected by itself is scored without training, too.
    scores = finetune_classifier.main(
        ["--model_parameters", str(tmp_path / "numbers/last"), "--only_inference", "--dev_file",
         str(tmp_path / "train.tsv"), "--text_columns", "text", "--dtype", "float32",
         "--output_dir", str(tmp_path / "again")]
    )  # fmt: skip
    right = [row.label for row in plainbert.load(tmp_path / "numbers/last").predict(TEXTS)]
    pearson = float(np.corrcoef(np.array(right, float), np.arange(len(TEXTS)))[0, 1])
    assert scores["dev"]["pearson"] == pytest.approx(pearson, abs=1e-4)


def test_training_for_several_labels_is_refused_by_name(folder: Path) -> None:
    model = model_zoo.open_folder(folder).headed
    with pytest.raises(UsageError, match="multi_label_classification.*not trained yet"):
        model.loss(torch.zeros(2, 3), torch.zeros(2, 3), Padded(torch.ones(2, 4)))


def test_one_label_alone(tmp_path: Path) -> None:
    """The pipeline gives a class that stands alone its sigmoid."""
    torch.manual_seed(1)
    model: Any = folders.tiny(id2label=("toxic",), problem_type=MULTI_LABEL)
    path = checkpoint.write(tmp_path / "m", model, folders.tokenizer())
    pipe = transformers.pipeline("text-classification", model=str(path), top_k=None)
    ((right,),) = pipe(["the cat"])
    prediction = plainbert.load(path).predict("the cat")
    assert prediction.probabilities == pytest.approx({"toxic": right["score"]}, abs=1e-5)
