"""MXNet's arrays: every version and type, sparse ones, archives, and damaged files."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.gluonnlp import params
from tests.helpers import params_files as raw

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "gluonnlp"
SMALL = FIXTURES / "flat" / "structural.params"


def put(folder: Path, content: bytes) -> Path:
    path = folder / "x.params"
    path.write_bytes(content)
    return path


def equal(tensor: torch.Tensor, array: np.ndarray) -> bool:
    return tuple(tensor.shape) == array.shape and tensor.numpy().tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", raw.FLAGS)
@pytest.mark.parametrize("version", [raw.v0, raw.v1, raw.v2, raw.v3])
def test_versions_and_types(tmp_path: Path, version, dtype: str) -> None:
    array = np.arange(-6, 6).reshape(2, 3, 2).astype(dtype)
    odd = np.ones(3, "uint8")  # puts what follows at an odd address
    path = put(tmp_path, raw.listed([version(array), version(odd), version(array)], "abc"))
    found = params.read(path)
    assert list(found) == ["a", "b", "c"]
    assert equal(found["a"], array)
    assert equal(found["c"], array)
    assert str(found["a"].dtype) == f"torch.{dtype}"


def test_bfloat16(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC000], "uint16")
    found = params.read(put(tmp_path, raw.listed([raw.v2(bits, flag=12)], ["a"])))
    assert found["a"].dtype == torch.bfloat16
    assert found["a"].tolist() == [1.0, -2.0]


def test_scalar_and_never_filled(tmp_path: Path) -> None:
    none = struct.pack("<Ii", raw.V2, 0) + raw.shape_of(())
    none3 = struct.pack("<Iii", raw.V3, 0, -1)
    unknown = struct.pack("<Ii", raw.V3, 0) + raw.shape_of((2, -1))
    legacy = struct.pack("<I", 0)
    scalar = raw.v3(np.array(7, "int32"))
    records = [none, none3, unknown, legacy, scalar, raw.v2(np.zeros((0, 4), "float32"))]
    found = params.read(put(tmp_path, raw.listed(records, "abcdef")))
    assert [tuple(found[name].shape) for name in "abcdef"] == [(0,)] * 4 + [(), (0, 4)]
    assert found["e"].item() == 7


def test_list_without_names(tmp_path: Path) -> None:
    array = np.ones(2, "float32")
    assert list(params.read(put(tmp_path, raw.listed([raw.v2(array)] * 2)))) == ["0", "1"]
    assert params.read(put(tmp_path, raw.listed([]))) == {}


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "uint64", "bool"])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_sparse(tmp_path: Path, dtype: str, index: str) -> None:
    rows, values = np.array([1, 3], index), np.array([[1, 0], [2, 3]]).astype(dtype)
    full = np.zeros((5, 2), dtype)
    full[rows] = values
    csr = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]]).astype(dtype)
    parts = [np.array([0, 1, 1, 3], index), np.array([1, 0, 2], index)]
    empty = raw.sparse(1, (3, 2), np.zeros((0, 2), dtype), np.zeros(0, index))
    records = [
        raw.sparse(1, (5, 2), values, rows), empty,
        raw.sparse(2, (3, 3), csr[csr != 0], *parts),
    ]  # fmt: skip
    if dtype == "bool":
        records[2] = raw.sparse(2, (3, 3), np.ones(3, bool), *parts)
    found = params.read(put(tmp_path, raw.listed(records, "abc")))
    assert equal(found["a"], full)
    assert equal(found["b"], np.zeros((3, 2), dtype))
    assert equal(found["c"], csr)


F = np.float32
I = np.int64  # noqa: E741
HUGE = raw.sparse(1, (1 << 33, 2), np.zeros((0, 2), F), np.zeros(0, I))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (raw.sparse(1, (2, 2), F([[1, 2]]), I([2])), "row lies outside of 0 to 1"),
        (raw.sparse(1, (2, 2), F([[1, 2]]), I([-1])), "row lies outside"),
        (raw.sparse(1, (3, 2), F([[1, 2], [3, 4]]), I([1, 1])), "not ascending"),
        (raw.sparse(1, (3, 2), F([[1, 2, 3]]), I([1])), "for 1 rows"),
        (raw.sparse(1, (3, 2), F([[1, 2]]), np.float32([1])), "indices of type 0"),
        (raw.sparse(2, (2, 2), F([1]), I([0, 1, 1]), I([2])), "column lies outside of 0 to 1"),
        (raw.sparse(2, (2, 2), F([1]), I([0, 1]), I([1])), "do not span"),
        (raw.sparse(2, (2, 2), F([1]), I([0, 2, 1]), I([1])), "not ascending"),
        (raw.sparse(2, (2, 2), F([1, 2]), I([0, 1, 1]), I([1])), "values for"),
        (raw.sparse(2, (2, 2, 1), F([1]), I([0, 1, 1]), I([1])), "values for"),
        (HUGE, "too large to make dense"),
        (raw.sparse(1, (1 << 62, 1 << 62), np.zeros((0, 2), F), np.zeros(0, I)), "too large"),
        (struct.pack("<Ii", raw.V2, 3) + b"\0" * 40, "unknown storage type 3"),
        (struct.pack("<Ii", raw.V2, 0) + raw.shape_of((2, -3)) + b"\0" * 40, r"shape \(2, -3\)"),
        (struct.pack("<Ii", raw.V2, 0) + raw.shape_of((1 << 62, 4)) + b"\0" * 40, "can hold"),
        (struct.pack("<Ii", raw.V2, 0) + raw.shape_of((0, 1 << 62)) + b"\0" * 40, "can hold"),
        (struct.pack("<Iii", raw.V2, 0, -1) + b"\0" * 40, "number of axes"),
        (struct.pack("<Iii", raw.V2, 0, 33) + b"\0" * 400, "number of axes"),
        (struct.pack("<I", 0xF993FACB) + b"\0" * 40, "0xf993facb"),
        (raw.v2(np.ones(2, "float32"), flag=13), "unknown type 13"),
        (raw.v2(np.ones(2, "float32"), flag=-1), "unknown type -1"),
    ],
)
def test_impossible_arrays(tmp_path: Path, record: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        params.read(put(tmp_path, raw.listed([record], ["a"])))


def test_wrong_heads_counts_and_names(tmp_path: Path) -> None:
    one = raw.v2(np.ones(2, "float32"))
    good = raw.listed([one, one], ["a", "b"])
    for content, message in (
        (b"", "has 0 bytes"),
        (struct.pack("<QQQ", 0x113, 0, 0) + b"\0" * 8, "starts with 0x113"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 63) + b"\0" * 800, "said to hold"),
        (struct.pack("<QQQ", 0x112, 0, 300) + b"\0" * 800, "said to hold"),
        (raw.listed([one, one], ["a"]), "1 names for 2 arrays"),
        (raw.listed([one], ["a", "b"]), "2 names for 1 arrays"),
        (raw.listed([one, one], ["a", "a"]), "'a' more than once"),
        (raw.listed([one], [b"\xff\xfe"]), "not UTF-8"),
        (good + b"\0", "1 bytes after"),
        (good[:-9] + struct.pack("<Q", 1 << 63) + b"b", "9223372036854775808 more bytes"),
    ):
        with pytest.raises(FormatError, match=message):
            params.read(put(tmp_path, content))
    with pytest.raises(CheckpointError, match="does not exist"):
        params.read(tmp_path / "nothing.params")
    with pytest.raises(CheckpointError, match="is a folder"):
        params.read(tmp_path)


def truncated() -> list[tuple[str, bytes]]:
    mixed = raw.listed(
        [raw.v0(np.ones((2, 2), "float32")), raw.v1(np.ones(3, "uint8")),
         raw.sparse(1, (4, 2), F([[1, 2]]), I([1])),
         raw.sparse(2, (2, 2), F([1]), I([0, 1, 1]), I([1])), raw.v3(np.array(1.0))],
        ["a", "bc", "d", "e", "f"],
    )  # fmt: skip
    stored, packed = io.BytesIO(), io.BytesIO()
    np.savez(stored, a=np.ones((2, 2), F), b=np.arange(3))
    np.savez_compressed(packed, a=np.ones((2, 2), F), b=np.arange(3))
    return [("mixed", mixed), ("zip", stored.getvalue()), ("packed", packed.getvalue())]


@pytest.mark.parametrize(("name", "content"), truncated())
def test_truncated_at_every_byte(tmp_path: Path, name: str, content: bytes) -> None:
    assert len(params.read(put(tmp_path, content))) in (2, 5)
    for size in range(len(content)):
        with pytest.raises(FormatError, match=r"x\.params"):
            params.read(put(tmp_path, content[:size]))


def test_real_file_truncated(tmp_path: Path) -> None:
    content = SMALL.read_bytes()
    for size in (*range(0, len(content) - 300, 11), *range(len(content) - 300, len(content))):
        with pytest.raises(FormatError):
            params.read(put(tmp_path, content[:size]))


@pytest.mark.parametrize("pack", [np.savez, np.savez_compressed])
def test_archives_of_mxnet_2(tmp_path: Path, pack) -> None:
    arrays = {
        "word_embed.0.weight": np.arange(12, dtype="float32").reshape(3, 4),
        "fortran": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        "half": np.ones(3, "float16"), "scalar": np.array(5), "empty": np.zeros((0, 3), "int8"),
        "flag": np.array([True, False]),
    }  # fmt: skip
    with (tmp_path / "x.params").open("wb") as file:
        pack(file, **arrays)
    assert params.looks_like(tmp_path / "x.params")
    found = params.read(tmp_path / "x.params")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert equal(found[name], array), name


def member(content: bytes, name: str = "a.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=pickled)
    return file.getvalue()


def test_refused_archives(tmp_path: Path) -> None:
    text = npy(np.ones(3, F))
    for content, message in (
        (member(npy(np.array([{}, []], dtype=object), pickled=True)), "Python objects"),
        (member(npy(np.ones(3, ">f4"))), ">f4"),
        (member(npy(np.array(["x"]))), "U1"),
        (member(text[:-1]), "shape"),
        (member(text + b"\0"), "shape"),
        (member(text.replace(b"(3,)", b"(-3,)")), "a"),
        (member(text.replace(b"(3,)", b"([" + b"[" * 40)), "cannot be read"),
        (member(text, "a.txt"), "no .npy"),
        (member(b"hello"), "cannot be read"),
    ):
        with pytest.raises(FormatError, match=message):
            params.read(put(tmp_path, content))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", text)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", text)
    with pytest.raises(FormatError, match="twice"):
        params.read(put(tmp_path, file.getvalue()))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    array = np.empty(1, dtype=object)
    array[0] = Evil()
    with pytest.raises(FormatError, match="objects"):
        params.read(put(tmp_path, member(npy(array, pickled=True))))
    assert not (tmp_path / "ran").exists()


def test_decompression_bomb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.params", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b", "c"):
            with archive.open(f"{name}.npy", "w") as file:
                head = io.BytesIO()
                about = {"descr": "<f4", "fortran_order": False, "shape": (40 << 20,)}
                np.lib.format.write_array_header_1_0(head, about)
                file.write(head.getvalue())
                for _ in range(160):
                    file.write(bytes(1 << 20))
    assert (tmp_path / "x.params").stat().st_size < 1 << 20
    with pytest.raises(FormatError, match="would unpack to"):
        params.read(tmp_path / "x.params")


def test_views_of_the_mapped_file(tmp_path: Path) -> None:
    path = put(tmp_path, SMALL.read_bytes())
    found = params.read(path)
    storages = {tensor.untyped_storage().data_ptr() for tensor in found.values()}
    addresses = [tensor.data_ptr() for tensor in found.values()]
    assert max(addresses) - min(addresses) < path.stat().st_size  # in one block of memory
    assert len(storages) == len(found)
    before = path.read_bytes()
    with torch.no_grad():
        for tensor in found.values():
            tensor.zero_()  # may be written to, and the file stays as it was
    assert path.read_bytes() == before
    path.unlink()
    assert float(sum(tensor.abs().sum() for tensor in found.values())) == 0


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("**/*.params")), ids=lambda p: p.name)
def test_real_files_are_written_again_byte_for_byte(tmp_path: Path, path: Path) -> None:
    params.write(tmp_path / "again.params", params.read(path))
    assert (tmp_path / "again.params").read_bytes() == path.read_bytes()


def test_written_types_and_strides(tmp_path: Path) -> None:
    base = torch.arange(24).reshape(2, 3, 4)
    tensors = {str(kind): base.to(kind) for kind in params.TYPES}
    tensors |= {"turned": base.float().permute(2, 0, 1), "every other": base.float()[:, ::2, 1:3]}
    tensors |= {"expanded": torch.ones(1, 3).expand(4, 3), "empty": torch.ones(0, 3)}
    tensors["trained"] = torch.ones(2, requires_grad=True)
    tensors["einheit µ"] = torch.ones(1)
    params.write(tmp_path / "x.params", tensors)
    found = params.read(tmp_path / "x.params")
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach()), name
    for bad in (torch.tensor(1.0), torch.ones(2, dtype=torch.complex64)):
        with pytest.raises(CheckpointError, match="bad has shape"):
            params.write(tmp_path / "y.params", {"bad": bad})
    assert not (tmp_path / "y.params").exists()


def test_looks_like(tmp_path: Path) -> None:
    assert params.looks_like(SMALL)
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\3\4")
    assert not params.looks_like(tmp_path / "pytorch_model.bin")
    assert not params.looks_like(put(tmp_path, b"PNG"))
    assert not params.looks_like(put(tmp_path, b""))
