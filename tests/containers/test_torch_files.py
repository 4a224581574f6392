"""Files of torch.save, of both layouts, beside torch's own reader."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile

import pytest
import torch
from torch import nn

from plainbert import checkpoint
from plainbert.containers.torch_files import read_torch
from plainbert.errors import FormatError
from plainbert.nn.bert import Bert
from tests.helpers.folders import FIXTURES, tiny

OLD = sorted((FIXTURES / "checkpoints").glob("hf_*/pytorch_model.bin"))
LAYOUTS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(path, value, zipped):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("path", OLD, ids=[path.parent.name for path in OLD])
def test_published_files(path):
    ours, theirs = read_torch(path), torch.load(path, weights_only=True)
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor)


def test_both_layouts_are_among_the_published_files():
    assert {path.read_bytes()[:2] for path in OLD} == {b"PK", b"\x80\x02"}


@LAYOUTS
def test_views_types_and_parameters(tmp_path, zipped):
    base = torch.randn(6, 10)
    tensors = {
        "base": base,
        "transposed": base.t(),
        "part": base[1:3, 2:5],
        "column": base[:, 3],
        "parameter": nn.Parameter(torch.randn(3).half()),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.empty(0, 4),
        "whole": torch.arange(5),
        "brain": torch.randn(3, 3).bfloat16(),
        "bytes": torch.arange(3, dtype=torch.uint8),  # what follows is not aligned in old files
        "after": torch.randn(2, dtype=torch.float64),
    }
    path = saved(tmp_path / "x.bin", tensors, zipped)
    ours, theirs = read_torch(path), torch.load(path, weights_only=True)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor), name


@LAYOUTS
def test_state_dict_with_metadata(tmp_path, zipped):
    model = tiny()
    path = saved(tmp_path / "x.bin", model.state_dict(), zipped)  # an OrderedDict with attributes
    assert read_torch(path).keys() == model.state_dict().keys()


@LAYOUTS
def test_tensors_may_be_changed_and_the_file_stays(tmp_path, zipped):
    path = saved(tmp_path / "x.bin", {"x": torch.zeros(4)}, zipped)
    before = path.read_bytes()
    tensor = read_torch(path)["x"]
    tensor.add_(1)
    assert tensor.sum() == 4
    assert path.read_bytes() == before
    path.unlink()
    assert tensor.sum() == 4


@LAYOUTS
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(1).expand(10**6), "repeats those it has"),
        (torch.zeros(1, 3).expand(4, 3), "repeats those it has"),
        (torch.randn(9).as_strided((3, 4), (2, 1)), "repeats those it has"),
        (torch.eye(3).to_sparse(), "_rebuild_sparse_tensor.* was not opened"),
        (torch.zeros(3).to(torch.float8_e4m3fn), "_rebuild_tensor_v3.* was not opened"),
        (torch.randn(3, dtype=torch.complex64).conj(), "described in an unknown way"),
        (torch.empty(3, device="meta"), "_rebuild_meta_tensor.* was not opened"),
        ({"inner": torch.zeros(1)}, "entries that are no tensors: x"),
        (3, "entries that are no tensors: x"),
    ],
    ids=["expanded", "rows", "overlap", "sparse", "float8", "conj", "meta", "nested", "number"],
)
def test_what_is_no_plain_tensor(tmp_path, zipped, value, message):
    path = saved(tmp_path / "x.bin", {"x": value}, zipped)
    with pytest.raises(FormatError, match=message):
        read_torch(path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
@LAYOUTS
def test_types_that_are_no_weights(tmp_path, zipped, dtype):
    model = Bert(tiny().config)
    tensors = dict(model.state_dict())
    tensors["pooler.dense.bias"] = torch.zeros(16, dtype=dtype)
    path = saved(tmp_path / "x.bin", tensors, zipped)
    with pytest.raises(FormatError, match=r"pooler.dense.bias holds torch.*floating point"):
        checkpoint.load(model, read_torch(path))


def rewritten(path, change):
    """The archive with each member's info and content passed through ``change``."""
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for info in old.infolist():
            name, data, method = change(info.filename, old.read(info))
            if name is not None:
                new.writestr(name, data, compress_type=method)
    path.write_bytes(content.getvalue())


def test_compressed_members_are_not_unpacked(tmp_path):
    path = saved(tmp_path / "x.bin", {"x": torch.zeros(10**6)}, True)
    rewritten(path, lambda name, data: (name, data, zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 10**5
    with pytest.raises(FormatError, match="is compressed; torch stores them as they are"):
        read_torch(path)


def test_member_that_claims_to_be_longer_than_the_file(tmp_path):
    path = saved(tmp_path / "x.bin", {"x": torch.zeros(16)}, True)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        places = [info for info in archive.infolist() if info.filename.endswith("data/0")]
    central = data.rindex(places[0].filename.encode()) - 46
    assert data[central : central + 4] == b"PK\x01\x02"
    struct.pack_into("<II", data, central + 20, 2**31, 2**31)  # compressed and full size
    path.write_bytes(data)
    with pytest.raises(FormatError, match="is longer than the file"):
        read_torch(path)


def test_missing_and_short_storages(tmp_path):
    path = saved(tmp_path / "x.bin", {"x": torch.zeros(16)}, True)
    whole = path.read_bytes()
    lost = lambda name, data: (None if name.endswith("data/0") else name, data, 0)  # noqa: E731
    rewritten(path, lost)
    with pytest.raises(FormatError, match="shorter than its tensors need"):
        read_torch(path)
    path.write_bytes(whole)
    short = lambda name, data: (name, data[:60] if name.endswith("data/0") else data, 0)  # noqa: E731
    rewritten(path, short)
    with pytest.raises(FormatError, match="shorter than its tensors need"):
        read_torch(path)


def test_big_end_first(tmp_path):
    path = saved(tmp_path / "x.bin", {"x": torch.zeros(16)}, True)
    rewritten(path, lambda name, data: (name, b"big" if name.endswith("byteorder") else data, 0))
    with pytest.raises(FormatError, match="big end first"):
        read_torch(path)


def test_parallel_prefix_and_shards(tmp_path):
    folder = tmp_path / "tagger"
    shutil.copytree(FIXTURES / "checkpoints" / "hf_camphr_ner_bert", folder)
    expected = checkpoint.read(folder).tensors()
    (folder / "pytorch_model.bin").unlink()
    parallel = {f"module.{name}": tensor for name, tensor in expected.items()}
    names = sorted(parallel)
    parts = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
    for file, part in parts.items():
        torch.save({name: parallel[name].clone() for name in part}, folder / file)
    table = {name: file for file, part in parts.items() for name in part}
    checkpoint.reader.files.write_json(
        folder / "pytorch_model.bin.index.json", {"weight_map": table}
    )
    found = checkpoint.read(folder)
    from plainbert.nn.heads import TokenClassifier

    model = TokenClassifier(found.config)
    report = checkpoint.load(model, found.tensors())
    assert report.ignored == ("module.bert.embeddings.position_ids",)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, expected[name])


def test_prefix_of_some_names_is_no_prefix(tmp_path):
    model = Bert(tiny().config)
    tensors = dict(model.state_dict())
    tensors["module.pooler.dense.bias"] = tensors.pop("pooler.dense.bias")
    with pytest.raises(checkpoint.weights.CheckpointError, match="no 'pooler'"):
        checkpoint.load(model, tensors)
