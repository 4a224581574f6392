from __future__ import annotations

import re

import pytest

from plainbert.errors import DataError, UnknownNameError, UsageError
from plainbert.tasks.classification import task as task_module
from plainbert.tasks.classification.find import find

GOOD = """
from plainbert.tasks.task import Example, Task

class Reviews(Task):
    name = "Reviews"
    labels = ("bad", "good")
    metrics = ("accuracy", "f1")
    test_splits = ()

    def rows(self, split, folder):
        yield Example((f"{split} one",), "good")
        yield "reviews.txt:2: no text"
        yield Example(("two", "pair"), "bad", 7)
"""


@pytest.fixture
def own(tmp_path):
    def own(code: str, name: str = "Reviews"):
        path = tmp_path / "my.py"
        path.write_text(code)
        return find(f"{path}:{name}", tmp_path)

    return own


def test_own_class(own, tmp_path):
    task = own(GOOD)
    got = task.read("dev")
    assert [(one.texts, one.label, one.row) for one in got.examples] == [
        (("dev one",), "good", 0),
        (("two", "pair"), "bad", 7),
    ]
    assert got.skipped == ["reviews.txt:2: no text"]
    assert task.folder == tmp_path
    assert task.splits == ("train", "dev")
    assert task.submission_name("test") == "Reviews.tsv"


def test_the_example_of_the_documentation_runs(own, tmp_path, monkeypatch):
    code = re.search(r"    from plainbert.*\n(?:(?:    .*)?\n)+", task_module.__doc__).group()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.dev.txt").write_text("good fine book\nbad dull\n")
    task = own("\n".join(line[4:] for line in code.splitlines()))
    assert [one.label for one in task.read("dev").examples] == ["good", "bad"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("class Reviews(Task)", "class Review(Task)"), UnknownNameError, "Did you mean 'Review'"),
        (("class Reviews(Task)", "class Reviews"), UsageError, "is not a task"),
        (('    name = "Reviews"\n', ""), UsageError, "lacks name"),
        (('    metrics = ("accuracy", "f1")\n', ""), UsageError, "lacks metrics"),
        (("def rows", "def lines"), UsageError, r"lacks rows\(split, folder\)"),
        (('("accuracy", "f1")', '("acc",)'), UnknownNameError, "no metric is named 'acc'"),
        (('("accuracy", "f1")', "()"), UsageError, "metrics is empty"),
        (('("accuracy", "f1")', '"accuracy"'), UsageError, "metrics must be a tuple"),
        (('("bad", "good")', '("bad",)'), UsageError, "two or more different names"),
        (("class", "clas"), UsageError, "cannot be imported: SyntaxError"),
        (("import Example", "import Exampl"), UsageError, "cannot be imported: ImportError"),
        (
            ("    test_splits = ()\n", "    def __init__(self, x): pass\n"),
            UsageError,
            "made without arguments",
        ),
    ],
)
def test_incomplete_classes(own, change, error, message):
    assert change[0] in GOOD
    with pytest.raises(error, match=message):
        own(GOOD.replace(*change))


def test_missing_file_or_class(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        find(f"{tmp_path}/none.py:X")
    with pytest.raises(UsageError, match="names no class"):
        find("my.py")


def test_wrong_rows_are_named(own):
    task = own(GOOD.replace('"good")\n        yield "', '"goud")\n        yield "'))
    with pytest.raises(DataError, match="Reviews dev, example 0: the label 'goud'.*'good'"):
        task.read("dev")
    task = own(GOOD.replace('("two", "pair")', "()"))
    with pytest.raises(DataError, match="example 1: 0 texts"):
        task.read("dev")
    task = own(GOOD.replace(', "bad", 7', ""))
    with pytest.raises(DataError, match="example 1 has no label"):
        task.read("train")
