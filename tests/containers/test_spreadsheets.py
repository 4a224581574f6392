"""Workbooks and Parquet files give the rows that pandas wrote into them."""

from __future__ import annotations

import csv
import datetime
import importlib.util
import logging
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest

from plainbert.containers import rows
from plainbert.errors import DataError, MissingDependencyError
from plainbert.tasks.classification.table import TableTask, iter_rows, read_texts

FRAME = pandas.DataFrame(
    {
        "id": [7, 8, 9],
        "text": ['she said "yes"\tand\nleft', "two, three; four", "é 猫 \U0001f431"],
        "label": ["pos", "neg", "pos"],
        "score": [0.5, 3.25, -1.0],
        "when": [
            datetime.datetime(2020, 1, 2),
            datetime.datetime(2020, 1, 3, 4, 5, 6),
            pandas.NaT,
        ],
        "none": [None, "x", None],
    }
)


def write(frame: pandas.DataFrame, path: Path) -> Path:
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_rows(tmp_path: Path, suffix: str) -> None:
    path = write(FRAME, tmp_path / f"t{suffix}")
    assert read_texts(path) == [(text,) for text in FRAME["text"]]
    task = TableTask(path)
    assert [(one.texts[0], one.label) for one in task.read("train").examples] == list(
        zip(FRAME["text"], FRAME["label"], strict=True)
    )
    numbers = TableTask(path, label_column="score")
    assert numbers.labels is None
    assert [one.label for one in numbers.read("train").examples] == [0.5, 3.25, -1.0]
    others = [row.others for row in iter_rows(path, "text", keep=("all",))]
    assert [int(row["id"]) for row in others] == [7, 8, 9]
    assert [str(row["when"]) for row in others[:2]] == [
        "2020-01-02" if suffix == ".xlsx" else "2020-01-02 00:00:00", "2020-01-03 04:05:06",
    ]  # fmt: skip
    assert [row["none"] or "" for row in others] == ["", "x", ""]


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_whole_numbers_are_one_class_whatever_wrote_them(tmp_path: Path, suffix: str) -> None:
    frame = pandas.DataFrame({"text": ["a", "b", "c"], "label": [1, 0, 1]})
    assert TableTask(write(frame, tmp_path / f"a{suffix}")).labels == ("0", "1")
    frame = frame.astype({"label": float})
    task = TableTask(write(frame, tmp_path / f"b{suffix}"), labels=("0", "1"))
    assert [one.label for one in task.read("train").examples] == ["1", "0", "1"]
    frame = pandas.DataFrame({"text": ["a", "b"], "label": [True, False]})
    assert TableTask(write(frame, tmp_path / f"c{suffix}")).labels == ("false", "true")


def test_the_first_sheet_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.xlsx"
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = "Data"
    for row in (["text", "label", None], ["a", "x", None], [None, None], ["b", None], [None]):
        book.active.append(row)
    book.create_sheet("Notes").append(["text"])
    book.save(path)
    with caplog.at_level(logging.INFO):
        got = list(rows.cells(path, "xlsx"))
    assert got == [(1, ["text", "label"]), (2, ["a", "x"]), (3, [""]), (4, ["b", ""])]
    assert "of 2 sheets the first is read, 'Data'; not: 'Notes'" in caplog.text
    with pytest.raises(DataError, match=r"t\.xlsx:4: the label is empty"):
        TableTask(path)
    book.active.append([None, datetime.date(2020, 1, 2), 1.5, False])
    book.save(path)
    assert list(rows.cells(path, "xlsx"))[-1] == (6, ["", "2020-01-02", "1.5", "false"])


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("t.xlsx", "openpyxl", "excel"), ("t.parquet", "pyarrow", "parquet")],
)
def test_without_the_library(
    tmp_path: Path, name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, find = write(FRAME, tmp_path / name), importlib.util.find_spec
    missing: Any = lambda wanted: None if wanted == package else find(wanted)
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(
        MissingDependencyError, match=rf"{name}.*'{package}'.*pip install .*{extra}"
    ):
        read_texts(path)


@pytest.mark.parametrize("name", ["t.xlsx", "t.parquet"])
def test_damaged(tmp_path: Path, name: str) -> None:
    path = write(FRAME, tmp_path / name)
    content = path.read_bytes()
    for damaged in (content[:-40], b"text\tlabel\na\tx\n", content[:20] + b"x" * 200, b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{name}.*(can be read|is empty)"):
            read_texts(path)
    path.unlink()
    with pytest.raises(DataError, match="does not exist"):
        read_texts(path)


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_a_tsv_that_pandas_quoted_whole(tmp_path: Path, quoting: Any) -> None:
    path = tmp_path / "t.tsv"
    frame = pandas.DataFrame({"text": ["one", "two"], "n": [1.5, 2.0], "label": ["x", "y"]})
    frame.to_csv(path, sep="\t", index=False, quoting=quoting)
    assert rows.is_quoted(path)
    task = TableTask(path)
    assert [(one.texts[0], one.label) for one in task.read("train").examples] == [
        ("one", "x"), ("two", "y"),
    ]  # fmt: skip
