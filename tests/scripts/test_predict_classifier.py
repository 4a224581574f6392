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
from plainbert.errors import DataError, UsageError
from plainbert.recipes import predict_classifier
from plainbert.recipes.shared import blocks
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
    assert header == "text\tlabel\tp(red)\tp(green)\tp(blue)\trow"
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
    assert header == "text\tlabel\trow"
    float(row.split("\t")[1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sentences", "a"], "missing: --model_dir"),
        (["--model_dir", "m"], "no texts"),
        (
            ["--model_dir", "m", "--sentences", "a", "--output", "x.npz"],
            "ending in .tsv or .csv or .jsonl",
        ),
        (["--model_dir", "m", "--sentences", "a", "--text_columns", "0"], "needs --file"),
        (["--model_dir", "m", "--sentences", "a", "--keep_columns", "id"], "needs --file"),
        (["--model_dir", "m", "--sentences", "a", "--label_column", "y"], "needs --file"),
    ],
)
def test_wrong_flags(
    main: Callable[..., Any], flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(flags)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


# Predictions that join to data

TABLE = [
    {"id": "7", "when": "2020-01-02", "text": "the cat", "colour": "red", "n": "1.50"},
    {"id": "008", "when": "", "text": 'a, "b"\tc', "colour": "green", "n": "1234567.891"},
    {"id": "x", "when": "now", "text": "", "colour": "pink", "n": ""},
    {"id": "y", "when": "now", "text": "b", "colour": "", "n": "3"},
    {"id": "z", "when": "now", "text": "cat cat a the", "colour": "blue", "n": "4"},
]


def source(path: Path) -> Path:
    """The rows as a file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in TABLE)
        else:
            writer = csv.DictWriter(file, list(TABLE[0]))
            writer.writeheader()
            writer.writerows(TABLE)
    return path


def read_results(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        delimiter = "," if path.suffix == ".csv" else "\t"
        quoting = csv.QUOTE_MINIMAL if path.suffix == ".csv" else csv.QUOTE_NONE
        return list(csv.DictReader(file, delimiter=delimiter, quoting=quoting))


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".tsv"])
@pytest.mark.parametrize("keep", ["n,id", "all"])
def test_columns_are_kept(
    main: Callable[..., Any], folder: str, tmp_path: Path, suffix: str, ending: str, keep: str
) -> None:
    path, output = source(tmp_path / f"rows{ending}"), tmp_path / f"out{suffix}"
    main(["--model_dir", folder, "--file", str(path), "--text_columns", "text", "--keep_columns",
          keep, "--output", str(output)])  # fmt: skip
    results = read_results(output)
    names = ["id", "when", "colour", "n"] if keep == "all" else ["n", "id"]
    assert [[row[name] for name in names] for row in results] == [
        [row[name] for name in names] for row in TABLE
    ]
    assert [int(row["row"]) for row in results] == [0, 1, 2, 3, 4]
    texts = [row["text"] for row in TABLE]
    if suffix == ".tsv":
        texts = [text.replace("\t", " ") for text in texts]
    assert [row["text"] for row in results] == texts
    assert list(results[0])[-len(names) - 1 :] == ["row", *names]


def test_a_kept_column_with_one_of_our_names(
    main: Callable[..., Any], folder: str, tmp_path: Path
) -> None:
    path, output = tmp_path / "a.jsonl", tmp_path / "out.csv"
    path.write_text('{"text": "the", "label": 1, "row": 99, "x": [1, null], "f": 0.1234567891}\n')
    main(["--model_dir", folder, "--file", str(path), "--keep_columns", "all", "--output",
          str(output)])  # fmt: skip
    (row,) = read_results(output)
    again = tmp_path / "again.csv"
    again.write_text("text,a,a,\nthe,1,2,3\n")
    main(["--model_dir", folder, "--file", str(again), "--keep_columns", "all", "--overwrite",
          "--output", str(output)])  # fmt: skip
    (other,) = read_results(output)
    assert (other["a"], other["a.1"], other[""]) == ("1", "2", "3")
    assert (row["input_label"], row["input_row"], row["row"]) == ("1", "99", "0")
    assert (row["x"], row["f"]) == ("[1, null]", "0.1234567891")
    assert row["label"] in folders.LABELS


@pytest.mark.parametrize("small", [False, True])
def test_right_labels_are_scored(
    main: Callable[..., Any],
    folder: str,
    tmp_path: Path,
    small: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if small:
        monkeypatch.setattr(blocks, "ROWS", 2)
    path, output = source(tmp_path / "rows.csv"), tmp_path / "out.csv"
    words = ["--model_dir", folder, "--file", str(path), "--text_columns", "text"]
    found = main([*words, "--label_column", "colour", "--output", str(output)])
    results = read_results(output)
    assert [row["gold"] for row in results] == ["red", "green", "pink", "", "blue"]
    right = [results[row]["label"] == results[row]["gold"] for row in (0, 1, 4)]
    assert found["scores"]["accuracy"] == sum(right) / 3
    shown = capsys.readouterr()
    assert f"scores (3 rows): accuracy {sum(right) / 3:.4f}" in shown.out
    assert "right \\ predicted" in shown.out
    assert "1 of 5 rows have no label to be scored by" in shown.err
    assert (
        "1 of 5 rows have labels that the model does not know, and are not scored: 'pink' (1)"
        in (shown.err)
    )
    assert "1 of 5 rows have an empty text, the first is number 3" in shown.err


def test_kept_and_scored_after_an_interruption(
    main: Callable[..., Any], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ROWS", 2)
    path, output, right = (source(tmp_path / "rows.csv"), tmp_path / "out.csv",
                           tmp_path / "right.csv")  # fmt: skip
    words = ["--model_dir", folder, "--file", str(path), "--label_column", "colour",
             "--keep_columns", "id,when"]  # fmt: skip
    scores = main([*words, "--output", str(right)])["scores"]
    add, calls = blocks.BlockWork.add, 0

    def stop(self: Any, *parts: Any, **state: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        add(self, *parts, **state)

    with monkeypatch.context() as patch:
        patch.setattr(blocks.BlockWork, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            main([*words, "--output", str(output)])
    with pytest.raises(UsageError, match="with other columns"):
        main([*words[:-1], "id", "--output", str(output), "--resume"])
    assert main([*words, "--output", str(output), "--resume"])["scores"] == scores
    assert output.read_bytes() == right.read_bytes()


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--keep_columns", "idx"], DataError, r"idx.*Did you mean 'id'"),
        (["--label_column", "gold"], DataError, "has no column 'gold'"),
        (["--text_columns", "2", "--keep_columns", "id"], UsageError, "Use numbers for both"),
        (["--text_columns", "2", "--keep_columns", "9"], DataError, "there is no column 9"),
    ],
)  # fmt: skip
def test_columns_that_are_not_there(
    main: Callable[..., Any],
    folder: str,
    tmp_path: Path,
    words: list[str],
    error: type[Exception],
    message: str,
) -> None:
    path = source(tmp_path / "rows.csv")
    with pytest.raises(error, match=message):
        main(["--model_dir", folder, "--file", str(path), *words])
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(UsageError, match="each line of .* is taken for a text"):
        main(["--model_dir", folder, "--file", str(tmp_path / "a.txt"), "--keep_columns", "all"])


@pytest.mark.parametrize(("trained", "words"), [(1, "single texts"), (2, "pairs")])
def test_rows_of_another_kind_than_in_training(
    main: Callable[..., Any],
    model: Any,
    tmp_path: Path,
    trained: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = checkpoint.write(tmp_path / "m", model, folders.tokenizer(), about={"texts": trained})
    main(["--model_dir", str(place), "--sentences", "a ||| b", "the cat ||| a", "cat"])
    rows = "2 of 3 rows are pairs" if trained == 1 else "1 of 3 rows are single texts"
    assert f"was trained on {words}, and {rows}" in capsys.readouterr().err


def test_texts_that_are_cut(
    main: Callable[..., Any], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--model_dir", folder, "--max_len", "4", "--sentences", "a b c the", "a", "b", "c"])
    assert "1 of 4 rows were longer than 4 tokens and were cut (25 %)" in capsys.readouterr().err
