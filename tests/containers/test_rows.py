"""Tables as spreadsheets, pandas and editors write them, against the csv module and pandas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plainbert.containers import rows
from plainbert.errors import DataError
from plainbert.tasks.classification.table import TableTask, read_texts

ROWS = [("a bright, funny film", "pos"), ("it said: \u201cno\u201d", "neg"), ("grey; dull", "pos")]


def as_csv(separator: str, **options: object) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n", **options)  # type: ignore[arg-type]
    writer.writerows([("text", "label"), *ROWS])
    return buffer.getvalue()


TABLES: dict[str, str] = {
    "t.tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS),
    "t.csv": as_csv(","),
    "semicolon.csv": as_csv(";"),
    "tab.csv": as_csv("\t"),
    "bar.csv": as_csv("|"),
    "stated.csv": "sep=;\n" + as_csv(";"),
    "t.jsonl": "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS),
}
ENDS: dict[str, Callable[[str], str]] = {
    "LF": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "mixed": lambda text: text.replace("\n", "\r\n", 1).replace("pos\n", "pos\r"),
    "no last": lambda text: text.removesuffix("\n"),
    "blank last": lambda text: text + "\n",
    "blank last CRLF": lambda text: text.replace("\n", "\r\n") + "\r\n\r\n",
    "blanks last": lambda text: text + "\n \n\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", TABLES)
def test_one_table_in_every_dress(tmp_path: Path, name: str, ends: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(ENDS[ends](TABLES[name]).encode(encoding))
    task = TableTask(path)
    assert [(one.texts[0], one.label) for one in task.read("train").examples] == ROWS
    assert read_texts(path) == [(text,) for text, _ in ROWS]


def test_empty_cells_of_a_spreadsheet_end_a_table(tmp_path: Path) -> None:
    for name, separator in (("t.csv", ","), ("t.tsv", "\t")):
        path = tmp_path / name
        path.write_text(f"text{separator}label\na{separator}x\nb{separator}y\n{separator}\n" * 1)
        assert [one.label for one in TableTask(path).read("train").examples] == ["x", "y"]


def test_empty_lines_inside_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("t.tsv", "t.csv"):
        separator = "\t" if name == "t.tsv" else ","
        path = tmp_path / name
        path.write_text(f"text{separator}label\na{separator}x\n\n\nb{separator}y\n")
        assert [one.label for one in TableTask(path).read("train").examples] == ["x", "y"]
        assert f"{name}: 2 empty line(s) left out, first: line 3" in caplog.text
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n\n{"text": "b", "label": "y"}\n')
    assert len(TableTask(path).read("train")) == 2


def test_in_a_table_of_one_column_an_empty_line_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("text\na\n\nb\n\n")
    assert read_texts(path) == [("a",), ("",), ("b",)]
    assert read_texts(path, "0") == [("text",), ("a",), ("",), ("b",)]


cell = st.text(st.sampled_from('ab ,;\t"\n\u2028é'), max_size=8)


@given(table=st.lists(st.tuples(cell, cell), min_size=1, max_size=6), end=st.booleans())
def test_pandas_tsv(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]], end: bool
) -> None:
    """What the csv module (as pandas does) writes between tabs is read back, once it shows."""
    buffer = io.StringIO()
    ends = "\r\n" if end else "\n"
    writer = csv.writer(buffer, delimiter="\t", lineterminator=ends)
    writer.writerows([("text_a", "text_b"), ('shows ""', "x"), *table, ("z", "z")])
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    path.write_bytes(buffer.getvalue().encode())
    assert rows.is_quoted(path)
    assert read_texts(path, "text_a,text_b") == [('shows ""', "x"), *table, ("z", "z")]


@pytest.mark.parametrize(
    "content",
    [
        'text\tlabel\n"Yes."\tx\nno\ty\n',  # shows nothing
        'text\tlabel\n"Yes, he said.\tx\n"no"\ty\n',
        'text\tlabel\nhe said ""yes""\tx\nno\ty\n',
        'text\tlabel\n"he" said ""yes""\tx\nno\ty\n',
        'text\tlabel\n5" x ""\tx\nno\ty\n',
    ],
)
def test_quotation_marks_of_a_tsv_are_text(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(content)
    assert not rows.is_quoted(path)
    texts = [line.split("\t")[0] for line in content.splitlines()[1:]]
    assert read_texts(path) == [(text,) for text in texts]


def test_a_spreadsheets_tsv(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('text\tlabel\n"she said ""yes"""\tpos\nplain\tneg\n"two\nlines"\tneg\n')
    task = TableTask(path)
    assert [(one.texts[0], one.label) for one in task.read("train").examples] == [
        ('she said "yes"', "pos"),
        ("plain", "neg"),
        ("two\nlines", "neg"),
    ]


def test_the_columns_of_a_csv_without_header(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a, b and c;x\nd;y\n")
    task = TableTask(path, text_columns="0", label_column=1)
    assert [(one.texts[0], one.label) for one in task.read("train").examples] == [
        ("a, b and c", "x"),
        ("d", "y"),
    ]
    path.write_text('a; b,"x, y"\nd,"z; w"\n')
    assert read_texts(path, "0,1") == [("a; b", "x, y"), ("d", "z; w")]


def test_lines_of_errors_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('sep=;\ntext;label\n"a\nb";x\n"c"d;y\n')
    with pytest.raises(DataError, match=r"t\.csv:5: is not CSV"):
        TableTask(path)
    path = tmp_path / "t.tsv"
    path.write_bytes(b"text\tlabel\ra\tx\rb\r")
    with pytest.raises(DataError, match=r"t\.tsv:3: 1 columns; 2 are expected"):
        TableTask(path)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.dat"])
def test_a_csv_under_another_name(
    tmp_path: Path, name: str, separator: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    path.write_text(as_csv(separator))
    task = TableTask(path)
    assert [(one.texts[0], one.label) for one in task.read("train").examples] == ROWS
    assert f"{name}: it has no tabs, but the columns of a CSV file" in caplog.text


def test_a_tsv_of_one_column_is_no_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("text\na, b\nc, d\n")
    assert read_texts(path) == [("a, b",), ("c, d",)]
    path.write_text("a, b\nc, d\n")
    assert read_texts(path, "0") == [("a, b",), ("c, d",)]


def test_numbers_with_a_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text;label\na;4,25\nb;3\nc;1,5\n")
    with pytest.raises(DataError, match=r"decimal comma \((4,25|1,5)\); write a point"):
        TableTask(path)
