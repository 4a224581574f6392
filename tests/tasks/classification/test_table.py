from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plainbert.errors import DataError, UnknownNameError, UsageError
from plainbert.tasks.classification.table import TableTask, read_texts

DATA = Path(__file__).parents[3] / "data"


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def shown(task: TableTask, split: str = "train") -> list[tuple[tuple[str, ...], object]]:
    return [(one.texts, one.label) for one in task.read(split).examples]


def test_tsv_with_names(write):
    train = write("t.tsv", 'id\tlabel\tb\ta\n1\tyes\ttwo\t"one\n2\tno\tb, b"\ta\n')
    task = TableTask(train, text_columns="a,b")
    assert shown(task) == [(('"one', "two"), "yes"), (("a", 'b, b"'), "no")]
    assert task.labels == ("no", "yes")
    assert task.metrics == ("accuracy", "f1", "macro_f1", "mcc")
    assert task.text_names == ("a", "b")
    assert task.splits == ("train",)
    assert (task.dev_splits, task.test_splits) == ((), ())
    assert [one.row for one in task.read("train").examples] == [0, 1]


def test_tsv_with_numbers_has_no_header(write):
    train = write("t.tsv", "yes\tone\nno\ttwo\n")
    task = TableTask(train, text_columns=[1], label_column=0)
    assert shown(task) == [(("one",), "yes"), (("two",), "no")]
    assert task.text_names == ("text1",)


def test_numbers_pass_over_a_header_with_a_usual_label_name(write):
    train = write("t.tsv", "Label\ttext\nyes\tone\nno\ttwo\n")
    assert TableTask(train, text_columns="1", label_column=0).labels == ("no", "yes")


def test_three_texts_and_default_columns(write):
    train = write("t.csv", "x,y,z,label\n1,2,3,a\n4,5,6,b\n")
    assert shown(TableTask(train, text_columns="z,x,y"))[0] == (("3", "1", "2"), "a")
    train = write("u.csv", "id,sentence2,sentence1,label\n0,b,a,k\n1,d,c,l\n")
    assert shown(TableTask(train)) == [(("a", "b"), "k"), (("c", "d"), "l")]
    assert TableTask(train).text_names == ("text1", "text2")


def test_csv_follows_rfc_4180(write):
    content = 'text,label\r\n"two\r\nlines, ""quoted""",a\r\nplain,b\r\n'
    task = TableTask(write("t.csv", content))
    assert shown(task) == [(('two\nlines, "quoted"',), "a"), (("plain",), "b")]


def test_json_lines(write):
    train = write("t.jsonl", '{"text": "é", "label": 1}\n{"label": 0, "text": "b", "more": []}\n')
    task = TableTask(train)
    assert shown(task) == [(("é",), "1"), (("b",), "0")]
    flags = write("b.jsonl", '{"text": "a", "label": true}\n{"text": "b", "label": false}\n')
    assert TableTask(flags).labels == ("false", "true")


def test_bom_crlf_and_gzip(write):
    task = TableTask(write("t.tsv", b"\xef\xbb\xbftext\tlabel\r\none\ta\r\ntwo\tb\r\n"))
    assert shown(task) == [(("one",), "a"), (("two",), "b")]
    packed = write("t.tsv.gz", gzip.compress(b"text\tlabel\none\ta\ntwo\tb\n"))
    assert shown(TableTask(packed)) == [(("one",), "a"), (("two",), "b")]


def test_other_line_separators_are_text(write):
    task = TableTask(write("t.tsv", "text\tlabel\na\u2028b\x85c\rd\tx\ne\ty\n"))
    assert task.read("train").examples[0].texts == ("a\u2028b\x85c\rd",)


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl"])
def test_a_line_of_a_megabyte(write, name):
    long = "word " * 200_000
    rows = [("text", "label"), (long, "a"), ("b", "b")]
    if name.endswith("jsonl"):
        content = "".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in rows[1:])
    else:
        content = "".join(f"{t}{',' if name == 't.csv' else chr(9)}{k}\n" for t, k in rows)
    assert TableTask(write(name, content)).read("train").examples[0].texts == (long,)


def test_label_rules(write):
    def labels(*values: str) -> tuple[str, ...] | None:
        return TableTask(
            write("t.tsv", "text\tlabel\n" + "".join(f"t\t{value}\n" for value in values))
        ).labels

    assert labels("10", "2", "1", "2") == ("1", "2", "10")
    assert labels("b", "B", "a") == ("B", "a", "b")
    assert labels("1.0", "0.0", "1.0") == ("0.0", "1.0")  # whole numbers are classes
    assert labels("1.0", "2.5", "3") is None
    assert labels("1.5", "x") == ("1.5", "x")
    with pytest.raises(DataError, match="every row has the label 'a'"):
        labels("a", "a")
    with pytest.raises(DataError, match="a label of its own; is 'label' the label column"):
        labels(*(f"text {number}" for number in range(30)))


def test_regression_is_asked_for_or_found(write):
    train = write("t.tsv", "text\tlabel\na\t1\nb\t5\n")
    task = TableTask(train, labels="regression")
    assert task.labels is None
    assert task.metrics == ("pearson", "spearman")
    assert shown(task) == [(("a",), 1.0), (("b",), 5.0)]
    dev = write("d.tsv", "text\tlabel\na\thigh\n")
    with pytest.raises(DataError, match=r"d\.tsv:2: the label 'high' is not a number"):
        TableTask(train, dev, labels="regression").read("dev")


def test_dev_and_test(write):
    train = write("t.tsv", "text\tlabel\na\tham\nb\tspam\n")
    dev = write("d.tsv", "label\ttext\nspam\tc\nspm\td\n")
    test = write("e.tsv", "text\ne\n")
    task = TableTask(train, dev, test)
    with pytest.raises(
        DataError,
        match=r"d\.tsv:3: the label 'spm' is not one of: ham, spam\. Did you mean 'spam'\?",
    ):
        task.read("dev")
    assert shown(task, "test") == [(("e",), None)]
    assert task.splits == ("train", "dev", "test")
    numbered = write("n.tsv", "a\nb\n")
    task = TableTask(write("m.tsv", "a\tx\nb\ty\n"), None, numbered, "0", 1)
    assert shown(task, "test") == [(("a",), None), (("b",), None)]


def test_without_training_file(write):
    dev = write("d.tsv", "text\tlabel\na\tx\n")
    assert shown(TableTask(dev_file=dev, labels=("x", "y")), "dev") == [(("a",), "x")]
    with pytest.raises(UsageError, match="without train_file the labels are unknown"):
        TableTask(dev_file=dev)
    with pytest.raises(UsageError, match="no file"):
        TableTask()


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("t.tsv", "", {}, r"t\.tsv: is empty"),
        ("t.tsv", "text\tlabel\n", {}, "has a header but no rows"),
        ("t.tsv", "", {"text_columns": "0", "label_column": 1}, "is empty"),
        ("t.jsonl", "", {}, "is empty"),
        (
            "t.tsv",
            "text\tlabel\na\tb\tc\n",
            {},
            r"t\.tsv:2: 3 columns; 2 are expected as in the header\."
            r"\n  the line reads: 'a\\tb\\tc'",
        ),
        (
            "t.csv",
            "text,label\nhello, there,pos\nyes,neg\n",
            {},
            r"t\.csv:2: 3 columns; 2 are expected as in the header\."
            r"\n  the line reads: 'hello, there,pos'",
        ),
        ("t.csv", 'text;label\n"a;b";x\n"c" ;x;y\n', {}, r"is not CSV"),
        ("t.csv", 'text;label\n"a;b";x\nc;x;"y"\n', {}, "the line reads: 'c;x;\"y\"'"),
        ("t.csv", 'text;label\n"a;b";x\nc;nan\n', {}, "the line reads: 'c;nan'"),
        (
            "t.tsv",
            "a\tb\na\n",
            {"text_columns": "0", "label_column": 1},
            r"t\.tsv:2: 1 columns; 2 are expected as in the first line",
        ),
        ("t.tsv", "a\tb\n", {"text_columns": "2", "label_column": 1}, "there is no column 2"),
        ("t.tsv", "text\tlable\na\tb\n", {}, r"named 'label'\. Did you mean 'lable'\?"),
        ("t.tsv", "txt\tlabel\na\tb\n", {"text_columns": "text"}, "Did you mean 'txt'"),
        ("t.tsv", "foo\tlabel\na\tb\n", {}, "which columns are texts"),
        ("t.tsv", "text\ttext\tlabel\na\tb\tc\n", {}, "two columns named 'text'"),
        ("t.tsv", "text\tlabel\na\t\n", {}, r"t\.tsv:2: the label is empty"),
        ("t.tsv", b"text\tlabel\na\0\tb\n", {}, r"t\.tsv:2: .*NUL"),
        ("t.tsv", "text\tlabel\n".encode("utf-16")[:-1], {}, "begins as UTF-16-LE text but"),
        ("t.tsv", "text\tlabel\n".encode("utf-16-le"), {}, r"t\.tsv:1: .*NUL"),
        ("t.csv", 'text,label\na,b\n"c"d,e\n', {}, r"t\.csv:3: is not CSV"),
        ("t.csv", 'text,label\n"a\nb\nc",x\nd\n', {}, r"t\.csv:5: 1 columns; 2 are expected"),
        ("t.csv", 'text,label\n"never closed,e\n', {}, r"t\.csv:2: is not CSV"),
        ("t.jsonl", '{"text": 1, "label": "a"}\n', {}, r"t\.jsonl:1: 'text' must be a text"),
        ("t.jsonl", '{"text": "a", "label": null}\n', {}, "label must be a text or a number"),
        ("t.jsonl", '{"text": "a"\n', {}, r"t\.jsonl:1: is not JSON"),
        ("t.jsonl", "[1]\n", {}, "one JSON object per line"),
        ("t.jsonl", '{"text": "a", "label": "b"}\n{"text": "a"}\n', {}, r"t\.jsonl:2: no column"),
    ],
)
def test_bad_tables(write, name, content, arguments, message):
    with pytest.raises(DataError, match=message):
        TableTask(write(name, content), **arguments)


def test_bad_arguments(write):
    train = write("t.tsv", "text\tlabel\na\tx\nb\ty\n")
    with pytest.raises(UsageError, match="Use numbers for both"):
        TableTask(train, text_columns="0")
    for columns in ("", "a,,b", "a,a", "a,b,c,d"):
        with pytest.raises(UsageError, match="one to three different columns"):
            TableTask(train, text_columns=columns)
    with pytest.raises(UnknownNameError, match="no metric is named 'acuracy'"):
        TableTask(train, metrics=["acuracy"])
    with pytest.raises(DataError, match="does not exist"):
        TableTask(train.with_name("none.tsv"))
    with pytest.raises(UsageError, match="one object per line"):
        TableTask(write("t.json", "[]"))
    with pytest.raises(UsageError, match="two or more different names"):
        TableTask(train, labels=["x"])


def test_read_texts(write):
    assert read_texts(write("a.txt", "one\r\n\ntwo\tx\n")) == [("one",), ("",), ("two\tx",)]
    assert read_texts(write("a.tsv", "b\ta\n1\t2\n"), "a,b") == [("2", "1")]
    assert read_texts(write("b.tsv", "1\t2\n3\t4\n"), "1,0") == [("2", "1"), ("4", "3")]
    assert read_texts(write("c.csv", 'text,n\n"a, b",1\n')) == [("a, b",)]
    assert read_texts(write("d.jsonl", '{"premise": "p", "hypothesis": "h"}\n')) == [("p", "h")]
    for name in ("e.txt", "e.tsv", "e.jsonl"):
        with pytest.raises(DataError, match="is empty"):
            read_texts(write(name, ""))


@pytest.mark.parametrize(
    ("call", "given", "wanted"),
    [
        ("read_texts('-')", "a\nb c\n", [("a",), ("b c",)]),
        ("read_texts('-', '0,1')", "a\tb\n", [("a", "b")]),
        ("read_texts('-', 'x', form='jsonl')", '{"x": "y"}\n', [("y",)]),
    ],
)
def test_standard_input(call, given, wanted):
    code = f"from plainbert.tasks.classification.table import read_texts; print({call})"
    result = subprocess.run(
        [sys.executable, "-c", code], input=given, capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{wanted}\n"


# Everything a CSV field may hold; a carriage return alone would be a line end for the csv module.
field = st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), min_size=1)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(field, field), min_size=2))
def test_csv_round_trip(tmp_path_factory, rows):
    """What Python's own writer writes is read back exactly."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["text_a", "text_b", "label"])
    writer.writerows([*row, str(number % 2)] for number, row in enumerate(rows))
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(buffer.getvalue().encode())
    assert [one.texts for one in TableTask(path).read("train").examples] == rows


def test_sms_spam_split():
    """The split that data/README.md states: by the hash of the text, so no text is on two sides."""
    counts = {}
    for number, split in enumerate(("train", "dev", "test")):
        path = DATA / "sms_spam" / f"{split}.tsv"
        task = TableTask(DATA / "sms_spam" / "train.tsv", path)
        assert task.labels == ("ham", "spam")
        examples = task.read("dev").examples
        for one in examples:
            key = " ".join(one.texts[0].casefold().split())
            share = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
            assert number == (share >= 0.7) + (share >= 0.8)
        counts[split] = (len(examples), sum(one.label == "spam" for one in examples))
    assert counts == {"train": (3907, 504), "dev": (555, 78), "test": (1112, 165)}
    assert sum(rows for rows, _ in counts.values()) == 5574


def test_a_number_is_one_class_however_it_is_written(write):
    """pandas writes 1 as 1.0 where a column has a gap; JSON has both, and they are equal."""
    lines = [1, 1.0, 0, "1", "0.0", 2.0]
    rows = "".join(json.dumps({"text": "a", "label": label}) + "\n" for label in lines)
    task = TableTask(write("t.jsonl", rows), write("d.tsv", "text\tlabel\na\t1.0\na\t0\na\t2.00\n"))
    assert task.labels == ("0", "1", "2.0")
    assert [label for _, label in shown(task)] == ["1", "1", "0", "1", "0", "2.0"]
    assert [label for _, label in shown(task, "dev")] == ["1", "0", "2.0"]
    task = TableTask(write("t.tsv", "text\tlabel\na\t1.0\nb\t1\nc\t0\nd\t01\n"))
    assert task.labels == ("0", "01", "1")  # 01 is a code, not a number
    versions = TableTask(write("v.tsv", "text\tlabel\na\tv1.0\nb\tv1\n"))
    assert versions.labels == ("v1", "v1.0")


def test_true_and_false(write):
    rows = '{"text": "a", "label": true}\n{"text": "b", "label": "false"}\n'
    assert TableTask(write("t.jsonl", rows)).labels == ("false", "true")
    mixed = '{"text": "a", "label": true}\n{"text": "b", "label": 1}\n{"text": "c", "label": 0}\n'
    with pytest.raises(DataError, match="some labels are true or false and others are numbers"):
        TableTask(write("t.jsonl", mixed))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": NaN}\n', r":2: .* NaN"),
        ("t.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n', r":2: .* null"),
        ("t.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": 1e999}\n', ":2: .*Infinity"),
        ("t.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": "nan"}\n', r":2: .*\"nan\""),
        ("t.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": [1]}\n', r":2: .*\[1\]"),
        ("t.tsv", "text\tlabel\na\t1\nb\tnan\n", ":3: the label is 'nan', a missing number"),
        ("t.csv", "text,label\na,x\nb,\n", ":3: the label is empty"),
    ],
)
@pytest.mark.parametrize("split", ["train", "dev"])
def test_labels_that_are_not_there(write, name, content, said, split):
    path = write(name, content)
    arguments = {f"{split}_file": path} | ({"labels": ("x", "1")} if split == "dev" else {})
    with pytest.raises(DataError, match=rf"{name}{said}"):
        TableTask(**arguments).read(split)
