"""Result files come back as they were written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from plainbert.containers.tables import table
from plainbert.errors import UsageError
from plainbert.tasks.embedding.result_files import write_vectors

TEXTS = ["one", "two\t\u4e8c ||| \U0001f426", ""]


def test_vectors(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    write_vectors(tmp_path / "x.npz", TEXTS, vectors)
    with np.load(tmp_path / "x.npz") as read:  # without pickle
        assert read["text"].tolist() == TEXTS
        np.testing.assert_array_equal(read["vector"], vectors)
    write_vectors(tmp_path / "x.jsonl", [*TEXTS[:2], "\ud800"], vectors)
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text("utf-8").split("\n")[:-1]]
    assert [row["text"] for row in rows] == [*TEXTS[:2], "\ud800"]
    np.testing.assert_array_equal(np.float32([row["vector"] for row in rows]), vectors)
    with pytest.raises(UsageError, match=r"\.npz"):
        write_vectors(tmp_path / "x.xml", TEXTS, vectors)


def test_vectors_of_tokens(tmp_path: Path) -> None:
    vectors = [np.full((length, 2), length, np.float32) for length in (2, 3)]
    write_vectors(tmp_path / "x.npz", TEXTS[:2], vectors)
    with np.load(tmp_path / "x.npz") as read:
        assert read["offsets"].tolist() == [0, 2, 5]
        np.testing.assert_array_equal(read["vector"][2:], vectors[1])


def test_tables() -> None:
    rows = [{"text": 'a "b"\tc\r\nd', "label": "x", "p(x)": 0.123456789}]
    assert table(rows, ".tsv") == 'text\tlabel\tp(x)\na "b" c  d\tx\t0.123457\n'
    assert json.loads(table(rows, ".jsonl")) == rows[0]
    with pytest.raises(UsageError, match=r"\.tsv, \.csv and \.jsonl are"):
        table(rows, ".xml")


def test_a_csv_loses_nothing() -> None:
    rows = [{"a,b": 'x "y"\tz\r\n', "n": 0.5}, {"a,b": "", "n": None}, {"a,b": "é;", "n": 12}]
    content = table(rows, ".csv")
    again = list(csv.DictReader(io.StringIO(content, newline="")))
    assert again == [{"a,b": row["a,b"], "n": "" if row["n"] is None else str(row["n"])}
                     for row in rows]  # fmt: skip
    assert content + table(rows[:1], ".csv", header=False) == table([*rows, rows[0]], ".csv")


@pytest.mark.parametrize("sign", ["\t", "\n", "\r", "\r\n"])
def test_names_that_would_break_a_table(sign: str) -> None:
    rows = [{"text": f"a{sign}b", "label": f"x{sign}y", f"p(x{sign}y)": 0.5}] * 2
    lines = table(rows, ".tsv").split("\n")
    assert [len(line.split("\t")) for line in lines] == [3, 3, 3, 1]
    assert "\r" not in "".join(lines)
    assert json.loads(table(rows[:1], ".jsonl")) == rows[0]
