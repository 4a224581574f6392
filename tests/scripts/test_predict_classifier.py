"""``scripts/bert/predict_classifier.py`` run in this process."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from plainbert import checkpoint
from plainbert.recipes import predict_classifier
from tests.helpers import folders

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts" / "bert"
ROWS = [("the cat", "a"), ("cat", "b c the the cat"), ("a b c", "a b"), ("the", ""), ("b", "a")]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], dict[str, Any]]:
    return predict_classifier.main


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(4)
    return folders.tiny("classification")


@pytest.fixture(scope="module")
def folder(model: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("m") / "model"
    return str(checkpoint.write(path, model, folders.tokenizer()))


def shares(model: Any, row: tuple[str, ...]) -> list[float]:
    """Probabilities of one row, plainly."""
    tokenizer = folders.tokenizer()
    vocab = tokenizer.vocab
    ids, types = [vocab.cls_id], [0]
    for segment, text in enumerate(row):
        pieces = [*tokenizer.ids(text), vocab.sep_id]
        ids += pieces
        types += [segment] * len(pieces)
    with torch.no_grad():
        logits = model(torch.tensor([ids]), torch.tensor([types]))
    found: list[float] = logits[0].double().softmax(0).tolist()
    return found


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])
def test_columns_of_a_file(
    main: Callable[..., Any], model: Any, folder: str, tmp_path: Path, suffix: str
) -> None:
    source, output = tmp_path / "in.tsv", tmp_path / f"out{suffix}"
    lines = ["one\tx\ttwo", *(f"{first}\t7\t{second}" for first, second in ROWS)]
    source.write_text("\n".join(lines) + "\n")
    main(
        [
            "--model_dir",
            folder,
            "--file",
            str(source),
            "--text_columns",
            "one,two",
            "--output",
            str(output),
        ]
    )
    content = output.read_text()
    if suffix == ".tsv":
        table = list(csv.DictReader(io.StringIO(content), delimiter="\t"))
    else:
        table = [json.loads(line) for line in content.splitlines()]
    assert [row["text"] for row in table] == [" ||| ".join(row) for row in ROWS]
    for got, row in zip(table, ROWS, strict=True):
        right = shares(model, row)
        assert [float(got[f"p({label})"]) for label in folders.LABELS] == pytest.approx(
            right, abs=1e-5
        )
        assert got["label"] == folders.LABELS[right.index(max(right))]


def test_sentences_are_printed(
    main: Callable[..., Any], model: Any, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = main(["--model_dir", folder, "--sentences", "the cat", "cat ||| b"])
    header, first, second = capsys.readouterr().out.splitlines()
    assert header == "text\tlabel\tp(red)\tp(green)\tp(blue)"
    assert first.startswith("the cat\t")
    assert second.startswith("cat ||| b\t")
    got = list(result["predictions"][1].probabilities.values())
    assert got == pytest.approx(shares(model, ("cat", "b")), abs=1e-5)


def test_standard_input_answers_every_line(
    main: Callable[..., Any], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the cat\n\na\tb\n")))
    assert len(main(["--model_dir", folder, "--file", "-"])["predictions"]) == 3


def test_regression(
    main: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint.write(tmp_path / "r", folders.tiny("regression"), folders.tokenizer())
    main(["--model_dir", str(folder), "--sentences", "the cat"])
    header, row = capsys.readouterr().out.splitlines()
    assert header == "text\tlabel"
    float(row.split("\t")[1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sentences", "a"], "missing: --model_dir"),
        (["--model_dir", "m"], "no texts"),
        (["--model_dir", "m", "--sentences", "a", "--output", "x.npz"], "ending in .tsv or .jsonl"),
        (["--model_dir", "m", "--sentences", "a", "--text_columns", "0"], "needs --file"),
    ],
)
def test_wrong_flags(
    main: Callable[..., Any], flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(flags)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err
