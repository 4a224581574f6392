"""Tasks through the real ``datasets`` library, on data sets with the hub's columns and labels.

No network: a saved ``DatasetDict``, and a local folder in the form of a hub repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from plainbert.errors import DataError
from plainbert.tasks.classification.find import find
from plainbert.tasks.classification.names import NAMES
from plainbert.tasks.classification.task import Example

ROOT = Path(__file__).parents[3]
PARAPHRASE = ["not_equivalent", "equivalent"]
NLI = ["entailment", "neutral", "contradiction"]

# As the hub's data set cards state them: text columns, label column, label names (None: float,
# int: plain integers), the label of each of the two rows there and what we must call it.
HUB: dict[str, tuple[list[str], str, list[str] | type | None, list[float], list[str | float]]] = {
    "MRPC": (["sentence1", "sentence2"], "label", PARAPHRASE, [1, 0], ["1", "0"]),
    "QQP": (["question1", "question2"], "label", ["not_duplicate", "duplicate"], [1, 0],
            ["1", "0"]),
    "QNLI": (["question", "sentence"], "label", ["entailment", "not_entailment"], [0, 1],
             ["entailment", "not_entailment"]),
    "RTE": (["sentence1", "sentence2"], "label", ["entailment", "not_entailment"], [0, 1],
            ["entailment", "not_entailment"]),
    "STS-B": (["sentence1", "sentence2"], "label", None, [3.5, 0.0], [3.5, 0.0]),
    "CoLA": (["sentence"], "label", ["unacceptable", "acceptable"], [1, 0], ["1", "0"]),
    "MNLI": (["premise", "hypothesis"], "label", NLI, [0, 2], ["entailment", "contradiction"]),
    "WNLI": (["sentence1", "sentence2"], "label", ["not_entailment", "entailment"], [1, 0],
             ["1", "0"]),
    "SST": (["sentence"], "label", ["negative", "positive"], [1, 0], ["1", "0"]),
    "XNLI": (["premise", "hypothesis"], "label", NLI, [1, 2], ["neutral", "contradiction"]),
    "LCQMC": (["sentence1", "sentence2"], "score", int, [1, 0], ["1", "0"]),
    "ChnSentiCorp": (["text"], "label", ["negative", "positive"], [1, 0], ["1", "0"]),
}  # fmt: skip
GLUE = ["MRPC", "QQP", "QNLI", "RTE", "STS-B", "CoLA", "MNLI", "WNLI", "SST"]
CONFIGS = dict(
    zip(GLUE, ["mrpc", "qqp", "qnli", "rte", "stsb", "cola", "mnli", "wnli", "sst2"], strict=True)
)
HIDDEN = set(GLUE)  # their test labels are -1 on the hub


def as_on_the_hub(name: str, split: str) -> Dataset:
    texts, label, names, values, _ = HUB[name]
    if split.startswith("test") and name in HIDDEN:
        values = [-1, -1]
    kinds = {None: Value("float32"), int: Value("int32")}
    kind = ClassLabel(names=names) if isinstance(names, list) else kinds[names]
    rows: dict[str, list[object]] = {
        column: [f"{split} {column} {row}" for row in (0, 1)] for column in texts
    }
    features = {column: Value("string") for column in texts} | {label: kind}
    rows[label] = list(values)
    if name in GLUE:
        rows["idx"], features["idx"] = [7, 8], Value("int32")
    return Dataset.from_dict(rows, Features(features))


def theirs(name: str, split: str) -> str:
    if name == "MNLI":
        return split.replace("dev_", "validation_")
    return "validation" if split == "dev" else split


def check(name: str, split: str, got: list[Example]) -> None:
    texts, *_, wanted = HUB[name]
    there = theirs(name, split)
    assert [one.texts for one in got] == [
        tuple(f"{there} {column} {row}" for column in texts) for row in (0, 1)
    ]
    hidden = split.startswith("test") and name in HIDDEN
    assert [one.label for one in got] == ([None, None] if hidden else wanted)
    assert [one.row for one in got] == ([7, 8] if name in GLUE else [0, 1])


@pytest.mark.parametrize("name", NAMES)
def test_saved_copy(name, tmp_path):
    """A folder of ``save_to_disk`` is read like the hub; labels go by name, not by number."""
    task = find(name, tmp_path)
    data = DatasetDict(
        {theirs(name, split): as_on_the_hub(name, theirs(name, split)) for split in task.splits}
    )
    data.save_to_disk(str(tmp_path / name))
    for split in task.splits:
        assert task.has(split)
        check(name, split, task.read(split).examples)


def test_saved_copy_with_other_columns(tmp_path):
    data = as_on_the_hub("CoLA", "train").rename_column("sentence", "sentences")
    DatasetDict({"train": data}).save_to_disk(str(tmp_path))
    with pytest.raises(DataError, match="named 'sentence'. Did you mean 'sentences'"):
        find("CoLA", tmp_path).read("train")
    with pytest.raises(DataError, match="no split is named 'validation'"):
        find("CoLA", tmp_path).read("dev")


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code elsewhere: ``datasets`` reads its environment once, when it is imported."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",
            "GLUE_DIR": "",
            **environment,
        },
    )


def test_load_dataset_by_the_names_of_the_hub(tmp_path):
    """``load_dataset(path, config)`` takes a local folder of that name: the hub's, in small."""
    cards: dict[str, list[tuple[str, list[str]]]] = {}
    for name in NAMES:
        hub = find(name).hub
        cards.setdefault(hub.path, []).append((hub.config or "default", []))
        folder = tmp_path / hub.path
        for split in find(name).splits:
            there = theirs(name, split)
            file = folder / (hub.config or "data") / f"{there}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            as_on_the_hub(name, there).to_parquet(str(file))
            cards[hub.path][-1][1].append(
                f"  - split: {there}\n    path: {hub.config or 'data'}/{there}.parquet\n"
            )
    for path, configs in cards.items():
        card = "".join(
            f"- config_name: {config}\n  data_files:\n{''.join(files)}" for config, files in configs
        )
        (tmp_path / path / "README.md").write_text(f"---\nconfigs:\n{card}---\n")
    code = (
        "import json\n"
        "from plainbert.tasks.classification.find import find\n"
        "from plainbert.tasks.classification.names import NAMES\n"
        "rows = lambda n, s: [(e.texts, e.label, e.row) for e in find(n).read(s).examples]\n"
        "print(json.dumps([(n, s, rows(n, s)) for n in NAMES for s in find(n).splits]))"
    )
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert len(found) == 38
    for name, split, rows in found:
        check(name, split, [Example(tuple(texts), label, row) for texts, label, row in rows])


def test_offline_says_what_was_tried(tmp_path):
    code = "from plainbert.tasks.classification.find import find; find('MRPC').read('train')"
    result = run(code, tmp_path, GLUE_DIR=str(tmp_path / "glue"))
    last = result.stderr[result.stderr.rindex("DownloadError: MRPC") :]
    for part in (
        str(tmp_path / "glue" / "MRPC"),
        "glue_data/MRPC",
        "$GLUE_DIR",
        "nyu-mll/glue",
        "mrpc",
        ".[datasets]",
    ):
        assert part in last


def test_without_the_library(tmp_path):
    """Blocking the import is what a machine without the extra looks like."""
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from plainbert.tasks.classification.find import find; find('MRPC').read('train')"
    )
    result = run(code, tmp_path)
    assert "MissingDependencyError: reading MRPC without its folder" in result.stderr
    assert "glue_data/MRPC" in result.stderr
    assert "[datasets]" in result.stderr


def test_the_names_here_are_the_tasks():
    assert set(HUB) == set(NAMES)
    assert {name: find(name).hub.config for name in GLUE} == CONFIGS
    assert datasets.__version__
