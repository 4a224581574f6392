"""SQuAD where it usually lies, and through the real ``datasets`` library. No network."""

from __future__ import annotations

import json
import lzma
import shutil
import sys
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from plainbert.errors import DataError, DownloadError, MissingDependencyError
from plainbert.tasks.squad.files import read
from plainbert.tasks.squad.find import find

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "squad"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without SQuAD."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("SQUAD_DIR", "MXNET_HOME"):
        monkeypatch.delenv(name, raising=False)


def saved(folder: Path, name: str, split: str = "validation") -> Path:
    """The fixture in the columns of the hub's data set."""
    rows = [
        {
            "id": each.id,
            "title": each.title,
            "context": each.context,
            "question": each.question,
            "answers": {
                "text": [answer.text for answer in each.answers],
                "answer_start": [answer.start for answer in each.answers],
            },
        }
        for each in read(FIXTURES / f"{name}.json").questions
    ]
    DatasetDict({split: Dataset.from_list(rows)}).save_to_disk(str(folder))
    return folder


@pytest.mark.parametrize(
    ("place", "variable"),
    [
        ("mine", "SQUAD_DIR"),
        ("squad", None),
        ("home/.mxnet/datasets/squad", None),
        ("mx/datasets/squad", "MXNET_HOME"),
    ],
)
@pytest.mark.parametrize("version_2", [False, True])
def test_the_usual_folders(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    variable: str | None,
    version_2: bool,
) -> None:
    name = "dev-v2.0.json" if version_2 else "dev-v1.1.json"
    (tmp_path / place).mkdir(parents=True)
    shutil.copy(FIXTURES / name, tmp_path / place)
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path / place.split("/")[0]))

    assert find("dev", version_2).questions == read(FIXTURES / name).questions


def test_packed_and_named(tmp_path: Path) -> None:
    packed = lzma.compress((FIXTURES / "dev-v1.1.json").read_bytes())
    (tmp_path / "train-v1.1.json.xz").write_bytes(packed)

    assert len(find("train", data_dir=tmp_path)) == 47


@pytest.mark.parametrize("name", ["dev-v1.1", "dev-v2.0"])
def test_a_saved_data_set(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "saved", name)

    found = find("dev", name == "dev-v2.0", folder)
    assert found.questions == read(FIXTURES / f"{name}.json").questions
    with pytest.raises(DataError, match="no split 'train'"):
        find("train", False, folder)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r"train-v2.0.json, not in .*datasets\]"):
        find("train", True)


def test_without_files_or_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DownloadError) as caught:
        find("dev")
    message = str(caught.value)
    assert "no dev-v1.1.json in squad, " in message
    assert "rajpurkar/squad could not be read: ConnectionError: Couldn't reach the hub" in message
    assert "--predict_file" in message


def test_rows_without_a_question(tmp_path: Path) -> None:
    rows = [{"id": "a", "context": "b"}]
    DatasetDict({"validation": Dataset.from_list(rows)}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DataError, match="row 0 has no text as 'question'"):
        find("dev", data_dir=tmp_path / "saved")


def test_a_broken_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "squad").mkdir()
    (tmp_path / "squad" / "dev-v1.1.json").write_text(json.dumps({"data": 3}))
    with pytest.raises(DataError, match="'data' is a int"):
        find("dev")
