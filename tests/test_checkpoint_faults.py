"""Truncated, garbled and foreign folders end in a clear error; nothing in them is executed."""

from __future__ import annotations

import contextlib
import json
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plainbert import checkpoint
from plainbert.errors import CheckpointError, FormatError, PlainBertError
from plainbert.files import read_json, write_json
from tests.helpers.folders import point, tiny, tokenizer
from tests.test_checkpoint import shard


@pytest.fixture
def folder(tmp_path):
    return checkpoint.write(tmp_path / "model", tiny(), tokenizer())


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    made = checkpoint.write(tmp_path_factory.mktemp("w") / "model", tiny(), tokenizer())
    return made, (made / "model.safetensors").read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 0.5, -1])
def test_truncated_safetensors(folder, keep):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(FormatError, match=r"model.safetensors cannot be read .*truncated"):
        checkpoint.read(folder).tensors()


@given(data=st.data())
def test_garbled_safetensors_never_crash(weights, data):
    made, content = weights
    header = 8 + int.from_bytes(content[:8], "little")
    place = data.draw(st.integers(0, header - 1))
    garbled = bytearray(content)
    garbled[place] ^= data.draw(st.integers(1, 255))
    (made / "model.safetensors").write_bytes(bytes(garbled))
    with contextlib.suppress(PlainBertError):  # any other error fails the test
        checkpoint.load(tiny(), checkpoint.read(made).tensors())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9])
def test_truncated_torch_file(folder, zipped, keep):
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(tiny().state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(FormatError, match=r"pytorch_model.bin cannot be read"):
        checkpoint.read(folder).tensors()


class Trap:
    path = ""

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_torch_file_is_executed(folder, tmp_path, zipped):
    (folder / "model.safetensors").unlink()
    mark = tmp_path / "executed"
    trap = Trap()
    trap.path = str(mark)
    torch.save(
        {"bert.x": trap}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(FormatError, match="could run code; it was not opened"):
        checkpoint.read(folder).tensors()
    assert not mark.exists()


def test_torch_file_that_is_no_state(folder):
    (folder / "model.safetensors").unlink()
    torch.save([1, 2], folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="holds a list; named tensors are expected"):
        checkpoint.read(folder).tensors()
    torch.save({"epoch": 3, "model": {}}, folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match="entries that are no tensors: epoch, model"):
        checkpoint.read(folder).tensors()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}, protocol=2))
    with pytest.raises(FormatError):
        checkpoint.read(folder).tensors()


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "x.bin"]
)
def test_index_cannot_leave_the_folder(folder, name):
    tensors = checkpoint.read(folder).tensors()
    shard(folder, tensors, **{"classifier.bias": name})
    with pytest.raises(FormatError, match="in the same folder is expected"):
        checkpoint.read(folder)


def test_index_and_files_disagree(folder):
    tensors = checkpoint.read(folder).tensors()
    shard(folder, tensors, **{"bert.ghost": "a.safetensors"})
    with pytest.raises(CheckpointError, match="no file holds: bert.ghost"):
        checkpoint.read(folder).tensors()
    (folder / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match="names the file b.safetensors, which does not exist"):
        checkpoint.read(folder)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', "[]", "nonsense"])
def test_garbled_index(folder, content):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(FormatError, match=r"model.safetensors.index.json"):
        checkpoint.read(folder)


def test_module_files_cannot_leave_the_folder(folder):
    (folder / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Pooling", "path": "../1_Pooling"}])
    )
    with pytest.raises(FormatError, match="outside of the folder"):
        checkpoint.read(folder)


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '[{"type": "Pooling"}]', "["])
def test_garbled_modules(folder, content):
    (folder / "modules.json").write_text(content)
    with pytest.raises(FormatError, match=r"modules.json"):
        checkpoint.read(folder)


def test_other_architectures(folder):
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"model_type": "distilbert"})
    with pytest.raises(CheckpointError, match="'distilbert' model; BERT is expected"):
        checkpoint.read(folder)


def test_whole_numbers_are_no_weights(folder):
    tensors = checkpoint.read(folder).tensors()
    tensors["classifier.weight"] = torch.zeros(3, 16, dtype=torch.int32)
    with pytest.raises(FormatError, match=r"classifier.weight holds torch.int32; floating point"):
        checkpoint.load(tiny(), tensors)


def test_the_same_weight_twice(folder):
    tensors = checkpoint.read(folder).tensors()
    tensors["pooler.dense.bias"] = torch.zeros(16)
    with pytest.raises(CheckpointError, match=r"both bert.pooler.dense.bias and pooler.dense.bias"):
        checkpoint.load(tiny(), tensors)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights: none of model.safetensors"),
    ],
)
def test_missing_parts(folder, name, message):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read(folder)


def test_run_folder_points_to_its_best(folder):
    point("best", folder)
    with pytest.raises(CheckpointError, match=r"its model is .*best"):
        checkpoint.read(folder.parent)


def test_no_folder(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist; a checkpoint folder is expected"):
        checkpoint.read(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a file"):
        checkpoint.read(tmp_path / "file")
