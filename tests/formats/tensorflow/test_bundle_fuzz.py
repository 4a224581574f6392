"""Damaged checkpoints by the hundred: each is refused with a clear error or read, quickly."""

from __future__ import annotations

import resource
from pathlib import Path
from random import Random

import pytest

from plainbert.containers import sstable
from plainbert.containers.crc32c import crc32c, masked
from plainbert.containers.protobuf import varint
from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.tensorflow import reader
from plainbert.formats.tensorflow.bundle import Bundle

FIXTURE = Path(__file__).parents[2] / "fixtures" / "tensorflow"
NAME = "bert_model.ckpt"
INDEX = (FIXTURE / f"{NAME}.index").read_bytes()
DATA = (FIXTURE / f"{NAME}.data-00000-of-00001").read_bytes()
LIMIT = 64 << 10  # kilobytes that the process may grow by; the files have some thousand bytes


def blocks(table: bytes) -> list[tuple[int, int]]:
    """(start, size) of the one data block, the metaindex and the index of the fixture."""
    footer, place = table[-sstable.FOOTER :], 0
    handle = []
    for _ in range(4):
        number, place = varint(footer, place)
        handle.append(number)
    return [(0, handle[0] - sstable.TRAILER), (handle[0], handle[1]), (handle[2], handle[3])]


def seal(table: bytearray) -> None:
    """Make the checksums right again, so that the damage gets past them."""
    for start, size in blocks(INDEX):
        end = start + size + 1
        table[end : end + 4] = masked(crc32c(table[start:end])).to_bytes(4, "little")


def damage(raw: bytes, random: Random) -> bytearray:
    """Some bytes changed, taken out, put in or repeated."""
    out = bytearray(raw)
    for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
        place = random.randrange(len(out) or 1)
        kind = random.randrange(6)
        if kind == 0 and out:
            out[place] ^= 1 << random.randrange(8)
        elif kind == 1 and out:
            out[place] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))
        elif kind == 2:
            del out[place : place + random.choice((1, 2, 7, 100))]
        elif kind == 3:
            out[place:place] = random.randbytes(random.choice((1, 3, 10)))
        elif kind == 4:
            out[place : place + 10] = b"\xff" * 9 + b"\1"
        else:
            out[place:place] = out[place : place + random.choice((5, 50))] * 3
    return out


def within(raw: bytes, random: Random) -> bytearray:
    """Damage that keeps every length, in the data block only, sealed again."""
    out = bytearray(raw)
    start, size = blocks(INDEX)[0]
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        place = start + random.randrange(size)
        out[place] = random.choice((0, 1, 127, 128, 255, out[place] ^ 1, random.randrange(256)))
    if random.random() < 0.2:
        at = start + size
        out[at] = sstable.SNAPPY
    seal(out)
    return out


def rewritten(raw: bytes, random: Random) -> bytearray:
    """Some entries damaged, in a table that is otherwise written well."""
    table = sstable.read_table(memoryview(raw))
    for key in random.sample(sorted(table), random.choice((1, 2, 10))):
        value = bytes(damage(table.pop(key), random))
        table[bytes(damage(key, random)) if random.random() < 0.2 else key] = value
    return bytearray(sstable.write_table(table))


def attempt(folder: Path, whole: bool) -> str:
    """Use all tensors, as a model or (``whole``) as they are in the files; the outcome."""
    try:
        if whole:
            bundle = Bundle.open(folder / NAME)
            for name in bundle.entries:
                bundle.tensor(name)
        else:
            for tensor in reader.read(folder / NAME).tensors.values():
                tensor.sum()
    except (FormatError, CheckpointError) as error:
        return type(error).__name__
    return "read"


@pytest.mark.volume(sample=250, whole=2000)
@pytest.mark.parametrize("kind", ["damage", "within", "rewritten", "data", "truncated"])
def test_damaged_checkpoints(tmp_path: Path, kind: str, seed: int, trials: int) -> None:
    generator = Random(seed)
    for name in ("bert_config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((FIXTURE / name).read_bytes())
    index, data = tmp_path / f"{NAME}.index", tmp_path / f"{NAME}.data-00000-of-00001"
    index.write_bytes(INDEX)
    data.write_bytes(DATA)
    assert attempt(tmp_path, whole=True) == attempt(tmp_path, whole=False) == "read"
    outcomes = {"read": 0, "FormatError": 0, "CheckpointError": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(trials):
        if kind == "data":
            data.write_bytes(damage(DATA, generator))
        elif kind == "truncated":
            index.write_bytes(INDEX[: generator.randrange(len(INDEX))])
            data.write_bytes(DATA[: generator.randrange(len(DATA) + 1)])
        else:
            make = {"damage": damage, "within": within, "rewritten": rewritten}[kind]
            index.write_bytes(make(INDEX, generator))
        outcomes[attempt(tmp_path, whole=number % 4 == 0)] += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LIMIT
    assert outcomes["FormatError"] > trials // 4, outcomes
    # The damage went deep: names and shapes that do not fit, and harmless changes, are among it.
    if kind in ("within", "rewritten"):
        assert outcomes["CheckpointError"] > 0, outcomes
        assert outcomes["read"] > 0, outcomes
