"""The files of TensorFlow's checkpoints: bytes, checksums, and what is wrong with them."""

from __future__ import annotations

import contextlib
import mmap
import struct
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plainbert.containers import crc32c, protobuf, snappy, sstable
from plainbert.errors import CheckpointError, FormatError, PlainBertError
from plainbert.formats.tensorflow import slices
from plainbert.formats.tensorflow.bundle import Bundle, is_table, shard_name
from plainbert.formats.tensorflow.bundle_writer import write_bundle
from plainbert.formats.tensorflow.slices import Slice

FIXTURE = Path(__file__).parents[2] / "fixtures" / "tensorflow"
INDEX, DATA = "x.index", "x.data-00000-of-00001"


def bitwise(data: bytes) -> int:
    """CRC-32C by its definition."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return ~value & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksum_of_rfc_3720(data: bytes, expected: int) -> None:
    assert crc32c.crc32c(data) == expected


# Around the places where another way of folding begins.
LENGTHS = (*range(70), 842, 843, 844, 847, 848, 6772, 6773, 6774, 54210, 54212, 54220, 61000)


def test_checksum_of_every_length() -> None:
    data = np.random.default_rng(1).bytes(max(LENGTHS))
    for length in LENGTHS:
        assert crc32c.crc32c(data[:length]) == bitwise(data[:length]), length


def test_checksum_of_long_data() -> None:
    # Checksums are affine: the checksum of an exclusive or of three messages of one length is the
    # exclusive or of theirs. So one far-away bit can be compared without a slow loop.
    rng = np.random.default_rng(2)
    length = 8 * (crc32c.RING + 3 * crc32c.LOAD) + 5
    one, two, three = (np.frombuffer(rng.bytes(length), np.uint8) for _ in range(3))
    parts = crc32c.crc32c(one) ^ crc32c.crc32c(two) ^ crc32c.crc32c(three)
    assert crc32c.crc32c(one ^ two ^ three) == parts
    # Zeros in front of a message: advance the start value through them by the definition.
    tail = rng.bytes(100)
    assert crc32c.crc32c(bytes(crc32c.RING * 9) + tail) == bitwise(bytes(crc32c.RING * 9) + tail)


def test_generator_divides_the_sparse_polynomial() -> None:
    value = (1 << 6777) | (1 << 484) | (1 << 100) | 1
    generator = int(f"{crc32c.REFLECTED:032b}"[::-1], 2) | 1 << 32
    while value.bit_length() > 32:
        value ^= generator << (value.bit_length() - 33)
    assert value == 0


@given(st.binary(max_size=3000), st.integers(1, 4))
def test_snappy_is_unpacked(data: bytes, times: int) -> None:
    packed = pyarrow.compress(data * times, codec="snappy", asbytes=True)
    assert snappy.unpack(packed) == data * times


def test_snappy_that_copies_what_it_writes() -> None:
    packed = bytes([70, 0, ord("a"), (64 - 1) << 2 | 2, 1, 0, (5 - 4) << 2 | 1, 1])
    assert snappy.unpack(packed) == b"a" * 70
    assert snappy.unpack(pyarrow.compress(bytes(10**5), "snappy", asbytes=True)) == bytes(10**5)


@given(st.binary(max_size=60))
def test_snappy_of_garbage(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert len(snappy.unpack(data)) <= snappy.RATIO * len(data)


def test_snappy_bomb() -> None:
    with pytest.raises(FormatError, match="cannot hold"):
        snappy.unpack(protobuf.write_varint(2**40) + bytes(20))


@given(st.integers(0, 2**64 - 1), st.binary(max_size=5))
def test_varints(value: int, behind: bytes) -> None:
    raw = protobuf.write_varint(value)
    assert protobuf.varint(raw + behind, 0) == (value, len(raw))
    for cut in range(len(raw)):
        with pytest.raises(FormatError):
            protobuf.varint(raw[:cut], 0)


def test_huge_varints() -> None:
    for raw in (b"\xff" * 9 + b"\x02", b"\xff" * 20, b"\x80" * 10 + b"\x01"):
        with pytest.raises(FormatError, match="64 bits"):
            protobuf.varint(raw, 0)


@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=300), max_size=60))
def test_tables_return_what_was_written(entries: dict[bytes, bytes]) -> None:
    table = sstable.write_table(entries)
    assert sstable.read_table(memoryview(table)) == dict(sorted(entries.items()))


def test_tables_of_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sstable, "BLOCK_SIZE", 200)
    entries = {f"{row:05}".encode() + b"\xff" * (row % 3): bytes(row % 50) for row in range(500)}
    table = sstable.write_table(entries)
    assert sstable.read_table(memoryview(table)) == dict(sorted(entries.items()))


def test_packed_blocks_are_read() -> None:
    block = sstable._Block(16)
    for row in range(100):
        block.add(f"name/{row:03}".encode(), b"value" * 10)
    assert sstable.read_table(memoryview(sealed(block.finish(), packed=True))) == {
        f"name/{row:03}".encode(): b"value" * 10 for row in range(100)
    }


def sealed(content: bytes, packed: bool = False, times: int = 1) -> bytes:
    """A table of one block with the given content, which the index names so many times."""
    out = bytearray()

    def append(block: bytes, kind: int = 0) -> bytes:
        handle = protobuf.write_varint(len(out)) + protobuf.write_varint(len(block))
        check = crc32c.masked(bitwise(block + bytes([kind])))
        out.extend(block + bytes([kind]) + struct.pack("<I", check))
        return handle

    if packed:
        content = pyarrow.compress(content, codec="snappy", asbytes=True)
    handle = append(content, int(packed))
    index = sstable._Block(1)
    for number in range(times):
        index.add(b"\xff" + bytes([number]), handle)
    meta = append(sstable._Block(16).finish())
    footer = meta + append(index.finish())
    return bytes(out) + footer.ljust(40, b"\0") + sstable.MAGIC


def test_short_entries_cannot_stand_for_much_memory() -> None:
    block = bytearray()
    key = bytes(4000)
    block += protobuf.write_varint(0) + protobuf.write_varint(len(key)) + b"\0" + key
    for row in range(1, 200_000):
        shared = protobuf.write_varint(3997)
        block += shared + b"\3\0" + row.to_bytes(3, "big")
    with pytest.raises(FormatError, match="far too many"):
        sstable.read_table(memoryview(sealed(bytes(block) + struct.pack("<II", 0, 1))))


def test_blocks_are_read_once() -> None:
    block = sstable._Block(16).finish()  # it has no keys that could be out of order
    assert sstable.read_table(memoryview(sealed(block))) == {}
    with pytest.raises(FormatError, match="before the end of the one before"):
        sstable.read_table(memoryview(sealed(block, times=2)))


def test_keys_out_of_order_are_refused() -> None:
    block = sstable._Block(16)
    block.add(b"b", b"")
    block.add(b"a", b"")
    with pytest.raises(FormatError, match="out of order"):
        sstable.read_table(memoryview(sealed(block.finish())))


def test_real_checkpoint_is_read_whole_and_written_back_byte_for_byte(tmp_path: Path) -> None:
    bundle = Bundle.open(FIXTURE / "bert_model.ckpt")
    tensors = {name: bundle.tensor(name) for name in bundle.entries}
    assert len(tensors) == 139
    assert int(tensors["global_step"]) == 20
    assert tensors["bert/embeddings/word_embeddings"].shape == (15, 4)
    assert tensors["bert/pooler/dense/kernel/adam_v"].min() >= 0
    write_bundle(tmp_path / "bert_model.ckpt", tensors)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (FIXTURE / path.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


TYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool,
    torch.complex64, torch.complex128,
]  # fmt: skip


def test_every_type_and_shape(tmp_path: Path) -> None:
    # A single byte in front, so that nothing behind it is aligned.
    tensors = {"a": torch.zeros(1, dtype=torch.uint8)}
    for kind in TYPES:
        for shape in ((), (1,), (2, 3), (0, 4), (3, 0), (1, 2, 1, 3)):
            size = int(np.prod(shape))
            name = f"{str(kind)[6:]}/{'x'.join(map(str, shape))}"
            tensors[name] = torch.arange(size).reshape(shape).to(kind)
    write_bundle(tmp_path / "x", tensors)
    bundle = Bundle.open(tmp_path / "x")
    assert set(bundle.entries) == set(tensors)
    for name, tensor in tensors.items():
        found = bundle.tensor(name)
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
        assert found.tolist() == tensor.tolist()


def test_views_are_mapped_and_writing_to_them_spares_the_file(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", {"a": torch.ones(2, 3).T, "b": torch.arange(4.0)})
    before = (tmp_path / DATA).read_bytes()
    bundle = Bundle.open(tmp_path / "x")
    found = bundle.tensor("a")
    assert found.tolist() == [[1.0, 1.0]] * 3
    again = bundle.tensor("a", verify=False)
    assert again.data_ptr() == found.data_ptr()
    assert isinstance(bundle._maps[0], mmap.mmap)
    found.fill_(7)
    assert (tmp_path / DATA).read_bytes() == before


def test_a_flipped_bit_of_the_data_names_the_tensor(tmp_path: Path) -> None:
    tensors = {"first": torch.arange(5.0), "second": torch.arange(3)}
    write_bundle(tmp_path / "x", tensors)
    raw = bytearray((tmp_path / DATA).read_bytes())
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        (tmp_path / DATA).write_bytes(changed)
        bundle = Bundle.open(tmp_path / "x")
        bad, good = ("first", "second") if place < 20 else ("second", "first")
        with pytest.raises(FormatError, match=f"the checksum of {bad} does not match"):
            bundle.tensor(bad)
        assert torch.equal(bundle.tensor(good), tensors[good])
        assert not torch.equal(bundle.tensor(bad, verify=False), tensors[bad])


def test_every_truncation_and_flip_of_the_index(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", {"first": torch.arange(5.0), "second": torch.arange(3)})
    raw = (tmp_path / INDEX).read_bytes()
    for cut in range(len(raw)):
        (tmp_path / INDEX).write_bytes(raw[:cut])
        with pytest.raises(FormatError, match="x.index"):
            Bundle.open(tmp_path / "x")
    used = 0
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        (tmp_path / INDEX).write_bytes(changed)
        try:
            Bundle.open(tmp_path / "x")
            used += 1
        except FormatError:
            pass
    # Only the metaindex, which is empty and not needed, and the padding of the footer are free.
    assert used < 60


def test_every_truncation_of_the_data(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x", {"first": torch.arange(5.0), "second": torch.arange(3)})
    raw = (tmp_path / DATA).read_bytes()
    for cut in range(len(raw)):
        (tmp_path / DATA).write_bytes(raw[:cut])
        bundle = Bundle.open(tmp_path / "x")
        for name, end in (("first", 20), ("second", 44)):
            if cut < end:
                with pytest.raises(FormatError, match=f"{name} ends at byte {end}: it is trunc"):
                    bundle.tensor(name)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        Bundle.open(tmp_path / "x")
    write_bundle(tmp_path / "x", {"a": torch.ones(2)})
    (tmp_path / DATA).unlink()
    with pytest.raises(CheckpointError, match="x.data-00000-of-00001 is missing"):
        Bundle.open(tmp_path / "x").tensor("a")


F = protobuf.write_field
GOOD = F(1, 1) + F(2, F(2, F(1, 2))) + F(5, 8) + F(6, 0, fixed32=True)


def bundle_of(folder: Path, entries: dict[bytes, bytes], header: bytes | None = None) -> Bundle:
    table = {b"": F(1, 1) if header is None else header, **entries}
    (folder / INDEX).write_bytes(sstable.write_table(table))
    (folder / DATA).write_bytes(bytes(16))
    return Bundle.open(folder / "x")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "0 data files"),
        (F(1, 0), "0 data files"),
        (F(1, -1), "-1 data files"),
        (F(1, 100000), "100000 data files"),
        (F(1, 2**40), "data files"),
        (F(1, 1) + F(2, 1), "big-endian"),
        (F(1, 1) + F(3, F(2, 2)), "version 2"),
        (F(1, b"meta"), "before 0.12"),
        (b"\xff\xff", "cut off"),
        (b"\x0b", "kind 3"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, header: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        bundle_of(tmp_path, {b"a": GOOD}, header)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (F(3, 1) + GOOD, "data file 1 of 1"),
        (F(3, -1) + GOOD, "data file -1 of 1"),
        (F(4, -4) + GOOD, "at byte -4"),
        (GOOD + F(5, -8), "-8 bytes"),
        (GOOD + F(2, F(2, F(1, -2))), "impossible"),
        (GOOD + F(2, F(2, F(1, 2**62)) * 2), "impossible"),
        (GOOD + F(2, F(2, F(1, 1)) * 255), "impossible"),
        (GOOD + F(2, F(3, 1)), "not known"),
        (GOOD + F(2, 5), "holds a number where bytes"),
        (GOOD + F(5, b"8"), "holds bytes where a number"),
        (GOOD[:-1], "cut off"),
        (b"", "no type"),
        (GOOD + F(7, F(1, F(1, -1))), "impossible"),
    ],
)
def test_entries_that_are_refused(tmp_path: Path, entry: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        bundle_of(tmp_path, {b"a": entry})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (GOOD + F(5, 12), "12 bytes, which is not what"),
        (GOOD + F(2, F(2, F(1, 2**40))), r"not what \[1099511627776\]"),
        (GOOD + F(4, 2**62), "truncated"),
        (GOOD + F(4, 9), "ends at byte 17"),
        (GOOD + F(1, 7), "holds strings"),
        (GOOD + F(1, 20), "TensorFlow's 20"),
        (GOOD + F(7, b""), "1 parts that do not make up"),
        (GOOD + F(7, F(1, b"")), "a part of a is missing"),
    ],
)
def test_tensors_that_are_refused(tmp_path: Path, entry: bytes, message: str) -> None:
    bundle = bundle_of(tmp_path, {b"a": entry})
    with pytest.raises(FormatError, match=message):
        bundle.tensor("a")


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="overlap at byte 4"):
        bundle_of(tmp_path, {b"a": GOOD, b"b": GOOD + F(4, 4)})


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="utf-8"):
        bundle_of(tmp_path, {b"\xff": GOOD})


def test_other_files_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(b"short")
    assert not is_table(tmp_path / INDEX)
    assert not is_table(tmp_path)
    assert not is_table(tmp_path / "absent")
    with pytest.raises(FormatError, match="not the index of a TensorFlow checkpoint"):
        Bundle.open(tmp_path / "x")
    (tmp_path / INDEX).write_bytes(b"")
    with pytest.raises(FormatError, match="its 0 bytes"):
        Bundle.open(tmp_path / "x")


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_signed_codes_sort_as_their_numbers(one: int, two: int) -> None:
    first, second = slices._signed(one), slices._signed(two)
    assert (first < second) == (one < two)


def parted(folder: Path, parts: list[tuple[int, int]], whole: int = 4) -> Bundle:
    """A vector in parts (start, length), each stored under its key."""
    extents = [F(7, F(1, F(1, start) + F(2, length))) for start, length in parts]
    entries = {b"v": F(1, 1) + F(2, F(2, F(1, whole))) + b"".join(extents)}
    for start, length in parts:
        raw = bytes(4 * length)
        entries[slices.slice_key("v", Slice(((start, length),)))] = (
            F(1, 1)
            + F(2, F(2, F(1, length)))
            + F(4, 4 * start)
            + F(5, 4 * length)
            + F(6, crc32c.masked(bitwise(raw)), fixed32=True)
        )
    return bundle_of(folder, entries)


def test_parts_are_put_together(tmp_path: Path) -> None:
    assert parted(tmp_path, [(2, 1), (0, 2), (3, 1)]).tensor("v").tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "parts", [[(0, 2), (3, 1)], [(0, 2)], [(1, 3)], [(0, 2), (2, 3)], [(0, 2), (2, 2), (4, 1)]]
)
def test_parts_with_holes_are_refused(tmp_path: Path, parts: list[tuple[int, int]]) -> None:
    with pytest.raises(PlainBertError, match="v is stored in . parts|overlap"):
        parted(tmp_path, parts).tensor("v")


def test_shard_names_cannot_lead_elsewhere() -> None:
    assert shard_name(12, 345) == "data-00012-of-00345"
