"""np.load reads what we write, we read what np.savez writes, and nothing else is opened."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plainbert.containers import npz
from plainbert.errors import DataError, FormatError, UsageError
from tests.helpers.npz_files import npy, pack

ARRAYS = {
    "ids": np.arange(7, dtype="<u2"), "none": np.zeros(0, "<i8"), "table": np.ones((2, 3), "<f4"),
    "one": np.array(3, "<i8"), "name": np.array(b"abc", "S64"),
}  # fmt: skip
kinds = st.one_of(
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.byte_string_dtypes(min_len=1),
    hnp.unicode_string_dtypes(min_len=1),
)
tables = st.dictionaries(
    st.from_regex(r"\A[a-z_]{1,40}\Z"),
    kinds.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0))),
    min_size=1,
    max_size=5,
)


@given(tables)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_numpy_reads_what_we_write_and_we_what_numpy_writes(tmp_path, arrays):
    ours, plain, packed = tmp_path / "o.npz", tmp_path / "p.npz", tmp_path / "c.npz"
    npz.write(ours, arrays)
    np.savez(plain, **arrays)
    np.savez_compressed(packed, **arrays)
    with np.load(ours) as theirs:
        assert list(theirs) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(theirs[name], array)
    npz.verify(ours)
    for path in (ours, plain):
        same(npz.read(path), arrays)
    with pytest.warns(UserWarning, match="packed"):
        same(npz.read(packed), arrays)


def same(found, arrays):
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        assert not found[name].flags.writeable
        np.testing.assert_array_equal(found[name], array)


def test_arrays_lie_at_multiples_of_64_bytes_and_equal_arrays_give_equal_bytes(tmp_path):
    path = tmp_path / "a.npz"
    npz.write(path, ARRAYS)
    first = path.read_bytes()
    npz.write(path, ARRAYS)
    assert path.read_bytes() == first
    with zipfile.ZipFile(path) as archive:  # Python's own reader: every checksum is right
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        for info in archive.infolist():
            named, extra = struct.unpack_from("<HH", first, info.header_offset + 26)
            start = info.header_offset + 30 + named + extra
            assert first[start : start + 8] == b"\x93NUMPY\1\0"
            head = 10 + int.from_bytes(first[start + 8 : start + 10], "little")
            assert (start + head) % 64 == 0
    assert all(a.__array_interface__["data"][0] % 64 == 0 for a in npz.read(path).values())


def test_fortran_order_and_big_endian_input_is_stored_plainly(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    npz.write(tmp_path / "a.npz", {"a": array})
    found = npz.read(tmp_path / "a.npz")["a"]
    assert found.dtype.str == "<i4"
    assert found.tolist() == array.tolist()


def test_objects_are_not_written_and_a_failed_write_leaves_the_old_file(tmp_path):
    npz.write(tmp_path / "a.npz", ARRAYS)
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(UsageError, match="cannot be stored"):
        npz.write(tmp_path / "a.npz", {"x": np.ones(3), "a": np.array([None])})
    assert (tmp_path / "a.npz").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.npz"]


def test_fields_for_more_than_four_gigabytes(tmp_path, monkeypatch):
    # With the limit lowered, sizes, places and the directory itself stand in the 64-bit fields.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 150)
    path = write(tmp_path / "a.npz")
    data = path.read_bytes()
    assert b"PK\x06\x06" in data
    assert data.count(b"\xff" * 8) > 2
    same(npz.read(path), ARRAYS)
    npz.verify(path)
    with np.load(path) as theirs:
        assert theirs["table"].tolist() == ARRAYS["table"].tolist()
    monkeypatch.undo()
    # As it is where the directory itself begins behind 4 GB: its place only stands there.
    path.write_bytes(data[:-14] + b"\xff" * 12 + data[-2:])
    same(npz.read(path), ARRAYS)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_opening_reads_next_to_nothing(tmp_path):
    npz.write(tmp_path / "a.npz", {"a": np.arange(1 << 22)})
    program = (
        "import sys; from plainbert.containers import npz\n"
        "read = lambda: int(open('/proc/self/io').read().split()[1])\n"
        "npz.read(sys.argv[1]); before = read(); npz.read(sys.argv[1]); print(read() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.npz")], capture_output=True, text=True
    )
    assert int(done.stdout) < 1 << 19, done.stderr


def changed(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) >= 1
    path.write_bytes(data.replace(old, new, 1))


def write(path: Path) -> Path:
    npz.write(path, ARRAYS)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"'<u2'", b"'|O' ", "garbled .npy header"),
        (b"'<u2'", b"'|O8'", "type|objects"),
        (b"'<u2'", b"'<i4'", "shape"),
        (b"'<u2'", b"'<M8'", "type"),
        (b"'<u2'", b"'|V2'", "type"),
        (b"(7,)", b"(8,)", "shape"),
        (b"(2, 3)", b"(3, 3)", "shape"),
        (b"False, 'shape': (2, 3), }", b"True, 'shape': (2, 3), } ", "Fortran"),
        (b"\x93NUMPY\x01", b"\x93NUMPY\x02", "1.0"),
        (b"PK\x01\x02", b"PK\x01\x09", "directory"),
        (b"PK\x03\x04", b"PK\x03\x09", "garbled|outside"),
        (b"PK\x05\x06", b"PK\x05\x09", "no zip directory"),
    ],
)
def test_what_is_refused(tmp_path, old, new, message):
    path = write(tmp_path / "a.npz")
    changed(path, old, new)
    with pytest.raises(FormatError, match=message) as caught:
        npz.read(path)
    assert str(path) in str(caught.value)


def test_objects_of_numpy_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([[1], [2, 3]], dtype=object))
    with pytest.raises(FormatError, match="Python objects"):
        npz.read(tmp_path / "a.npz")


def test_encrypted_members_are_refused(tmp_path):
    path = write(tmp_path / "a.npz")
    for magic, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data = bytearray(path.read_bytes())
        data[data.index(magic) + place] |= 1
        (tmp_path / "b.npz").write_bytes(data)
        with pytest.raises(FormatError, match="encrypted|garbled"):
            npz.read(tmp_path / "b.npz")


@pytest.mark.parametrize("offset", [5, 1 << 20, 0xFFFFFFFE])
def test_members_outside_of_the_file_are_refused(tmp_path, offset):
    path = write(tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 42, offset)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="outside"):
        npz.read(path)


def test_overlapping_members_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    inner = npy(np.arange(8))
    pack(path, {"a": npy(np.frombuffer(bytes(30), "u1")), "b": inner})
    # "a" grows over the local header and a part of "b".
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    sizes = struct.unpack_from("<LL", data, at + 20)
    struct.pack_into("<LL", data, at + 20, sizes[0] + 60, sizes[1] + 60)
    path.write_bytes(bytes(data).replace(b"(30,)", b"(90,)"))
    with pytest.raises(FormatError, match="overlap"):
        npz.read(path)


def test_other_members_twice_the_same_and_many_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", b"hello")
    with pytest.raises(FormatError, match=r"no \.npy"):
        npz.read(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", npy(np.ones(2)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy(np.ones(2)))
    with pytest.raises(FormatError, match="twice"):
        npz.read(tmp_path / "b.npz")
    pack(tmp_path / "c.npz", {f"a{number}": npy(np.ones(1)) for number in range(300)})
    with pytest.raises(FormatError, match="300 members"):
        npz.read(tmp_path / "c.npz")


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(400 << 20, "u1"))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(FormatError, match="unpack"):
        npz.read(path)


def test_damage_is_found_by_verify_and_in_packed_members_by_read(tmp_path):
    path = write(tmp_path / "a.npz")
    changed(path, np.arange(7, dtype="<u2").tobytes(), np.arange(1, 8, dtype="<u2").tobytes())
    npz.read(path)
    with pytest.raises(FormatError, match="checksum"):
        npz.verify(path)
    np.savez_compressed(path, a=np.random.default_rng(0).integers(0, 1 << 60, 1000))
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="packed"), pytest.raises(FormatError):
        npz.read(path)


@pytest.mark.parametrize("cut", [0, 1, 10, 100, 500, -1])
def test_cut_files(tmp_path, cut):
    path = write(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError):
        npz.read(path)


def test_missing_files_folders_and_files_that_change(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        npz.read(tmp_path / "a.npz")
    with pytest.raises(DataError, match="folder"):
        npz.read(tmp_path)
    path = write(tmp_path / "a.npz")
    archive = npz.Archive(path)
    write(path)
    with pytest.raises(FormatError, match="changed"):
        archive.arrays()
