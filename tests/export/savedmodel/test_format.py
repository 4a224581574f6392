"""What can be known of SavedModels without TensorFlow; tests/tensorflow runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from plainbert.errors import CheckpointError, UsageError
from plainbert.export.savedmodel import format
from plainbert.export.savedmodel.format import SavedModelFormat
from plainbert.export.source import Source
from plainbert.nn.bert import Bert
from plainbert.nn.pooling import Pooling
from tests.helpers import folders


def test_the_programs_import_nothing_of_ours() -> None:
    for program in (format.BUILD, format.PROGRAM):
        assert "plainbert" not in program.read_text("utf-8").split('"""', 2)[2]


@pytest.mark.parametrize(
    ("task", "head", "several", "pooling"),
    [
        ("classification", "classification", False, None),
        ("classification", "classification", True, None),
        ("embedding", "embedding", False, Pooling("mean", layers=(-2,), normalize=True)),
    ],
)
def test_what_is_handed_over(
    tmp_path: Path, task: str, head: str, several: bool, pooling: Pooling | None
) -> None:
    changes = {"problem_type": "multi_label_classification"} if several else {}
    model = folders.tiny(head, **changes)
    source = Source(model, task, folders.tokenizer(), 32, folders.LABELS, pooling)
    format.request(source, tmp_path / "version", tmp_path)
    request = json.loads((tmp_path / "request.json").read_text())
    assert request["folder"] == str(tmp_path / "version")
    assert (request["task"], request["several"]) == (task, several)
    assert request["classes"] == (3 if task == "classification" else 2)
    assert request["depth"] == (1 if pooling else 2)
    assert request["config"]["hidden_act"] == "gelu"
    assert request["pooling"] == (
        {"kind": "mean", "layers": [-2], "normalize": True} if pooling else None
    )
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as weights:
        state = model.state_dict()
        prefix = "bert." if isinstance(model, Bert) else ""
        assert set(weights.files) == {prefix + name for name in state}
        for name, tensor in state.items():
            assert torch.equal(torch.from_numpy(weights[prefix + name]), tensor)


def test_the_newest_version_is_taken(tmp_path: Path) -> None:
    for name in ("9", "10", "variables"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert format.newest(tmp_path) == tmp_path / "10"
    assert format.newest(tmp_path / "9") == tmp_path / "9"
    (tmp_path / "11").mkdir()
    for folder in (tmp_path, tmp_path / "11"):
        with pytest.raises(
            CheckpointError, match="holds no SavedModel; a folder named by a number"
        ):
            format.newest(folder)


def test_a_python_without_tensorflow(tmp_path: Path) -> None:
    python, folder = tmp_path / "python", tmp_path / "export"
    said = "ModuleNotFoundError: No module named 'tensorflow'"
    python.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    python.chmod(0o755)
    folder.mkdir()
    source = Source(
        folders.tiny("token_classification"), "ner", folders.tokenizer(), 32, folders.LABELS
    )
    with pytest.raises(UsageError, match=r"lacks what tensorflow needs .*\n  python3 -m venv .tf"):
        SavedModelFormat(python=str(python)).write(source, folder)
    assert list(folder.iterdir()) == []  # no weights are left
    with pytest.raises(UsageError, match="there is no nowhere"):
        SavedModelFormat(python="nowhere").write(source, folder)
    (folder / "1").mkdir()
    (folder / "1" / "saved_model.pb").touch()
    with pytest.raises(UsageError, match="lacks what tensorflow needs"):
        SavedModelFormat(python=str(python)).open_runner(folder)
