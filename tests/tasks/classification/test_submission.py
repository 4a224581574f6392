from __future__ import annotations

import json
from pathlib import Path

import pytest

from plainbert.errors import DataError, UnknownNameError, UsageError
from plainbert.tasks.classification.find import find
from plainbert.tasks.classification.submission import write_submission
from plainbert.tasks.classification.table import TableTask
from plainbert.tasks.classification.task import Example

GOLDEN = Path(__file__).parents[2] / "golden" / "tasks"


def test_file_names_are_those_of_glue():
    names = {
        "MRPC": ["MRPC.tsv"], "QQP": ["QQP.tsv"], "QNLI": ["QNLI.tsv"], "RTE": ["RTE.tsv"],
        "STS-B": ["STS-B.tsv"], "CoLA": ["CoLA.tsv"], "MNLI": ["MNLI-m.tsv", "MNLI-mm.tsv"],
        "WNLI": ["WNLI.tsv"], "SST": ["SST-2.tsv"], "XNLI": ["XNLI.tsv"], "LCQMC": ["LCQMC.tsv"],
        "ChnSentiCorp": ["ChnSentiCorp.tsv"],
    }  # fmt: skip
    for name, wanted in names.items():
        task = find(name)
        assert [task.submission_name(split) for split in task.test_splits] == wanted


def test_classes_by_id_or_name_with_the_index_of_the_file(tmp_path):
    task = find("MNLI", GOLDEN)
    examples = task.read("test_matched").examples
    path = write_submission(task, "test_matched", examples, [2, "neutral"], tmp_path / "new")
    assert path == tmp_path / "new" / "MNLI-m.tsv"
    assert path.read_bytes() == b"index\tprediction\n0\tcontradiction\n1\tneutral\n"
    examples = task.read("test_mismatched").examples
    path = write_submission(task, "test_mismatched", examples, [1], tmp_path)
    assert path.read_bytes() == b"index\tprediction\n9\tentailment\n"


def test_regression_has_three_decimals(tmp_path):
    path = write_submission(find("STS-B"), "test", [Example(("a", "b"), row=4)], [2.0476], tmp_path)
    assert path.read_text() == "index\tprediction\n4\t2.048\n"


def test_mistakes(tmp_path):
    task, one = find("SST"), [Example(("a",))]
    with pytest.raises(UsageError, match="0 predictions for 1 examples"):
        write_submission(task, "test", one, [], tmp_path)
    with pytest.raises(UsageError, match="2 is not the id"):
        write_submission(task, "test", one, [2], tmp_path)
    with pytest.raises(DataError, match="'good' is not one of: 0, 1"):
        write_submission(task, "test", one, ["good"], tmp_path)
    with pytest.raises(UnknownNameError, match="no split of SST is named 'tst'"):
        write_submission(task, "tst", one, [0], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sign", ["\t", "\n", "\r"])
def test_labels_that_would_break_the_file(tmp_path, sign):
    train = tmp_path / "t.jsonl"
    labels = [f"one{sign}two", "three"]
    rows = (json.dumps({"text": "a", "label": label}) + "\n" for label in labels)
    train.write_text("".join(rows))
    task = TableTask(train, test_file=train)
    examples = [Example(("a",), row=f"q{sign}1"), Example(("b",), row="q2")]
    path = write_submission(task, "test", examples, list(task.labels), tmp_path)
    assert path.read_bytes().decode().split("\n") == [
        "index\tprediction", "q 1\tone two", "q2\tthree", ""
    ]  # fmt: skip
