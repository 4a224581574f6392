"""Open many broken copies of files of instances, in a process of its own with little memory.

    python -m tests.helpers.fuzz_corpus KIND NUMBER FOLDER SEED

A crash, a hang of 10 seconds, 1 GB more memory, an error that is not ours or an instance that
cannot be ends the process with a status other than 0. The last line counts what happened.
"""

from __future__ import annotations

import io
import random
import resource
import signal
import sys
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from plainbert.errors import PlainBertError
from plainbert.tasks.pretraining.shards import Shards, write_shard
from tests.helpers.npz_files import VOCAB, columns, instances, npy, old_arrays, pack

WORDS = (
    b"]", b"(", b")", b"\x85", b"\x86", b"\x87", b"R", b"b", b"\x94", b"h\x00", b"h\x05", b"t",
    b"a", b"e", b"}", b"\x8e", b"\x96", b"\x95", b"cos\nsystem\n", b"cnumpy\nndarray\n", b"\x93",
    b"\x81", b"\x92", b"0", b"2", b"J\xff\xff\xff\x7f", b"M\xff\xff", b"\x8a\x08" + b"\xff" * 8,
    b"B\xff\xff\xff\x7f", b"C\xff", b"r\xff\xff\xff\xff", b"PK\1\2", b"PK\3\4", b"'|O'", b"'<f8'",
    b"True", b"9999999999", b"\xff\xff\xff\xff", b"\0" * 8, b"\x7f",
)  # fmt: skip


def garbled(data: bytes, rng: random.Random) -> bytes:
    """A copy with one to four changes."""
    raw = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw) + 1)
        what = rng.randrange(7)
        word = rng.choice(WORDS)
        if what == 0:
            raw[at : at + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            raw[at : at + len(word)] = word
        elif what == 2:
            raw[at:at] = word * rng.choice((1, 1, 1, 50, 5000))
        elif what == 3:
            del raw[at : at + rng.choice((1, 2, 8, 100))]
        elif what == 4:
            length = rng.choice((4, 30, 200))
            raw[at:at] = raw[at : at + length] * rng.choice((1, 1, 20))
        elif what == 5:
            raw[at : at + 8] = rng.choice((0, 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1)).to_bytes(
                8, "little"
            )
        elif rng.random() < 0.3:
            del raw[at:]
    return bytes(raw)


def members(path: Path) -> dict[str, bytes]:
    """The members of an archive, unpacked."""
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}


def whole(kind: str, path: Path) -> None:
    """A whole file of the kind."""
    made = instances(6)
    if kind.startswith("shard"):
        write_shard(path, columns(made), VOCAB.sha256)
    else:
        protocol = 4 if "4" in kind else 3
        method = zipfile.ZIP_DEFLATED if kind == "old" else zipfile.ZIP_STORED
        pack(path, {name: npy(a, protocol) for name, a in old_arrays(made).items()}, method)


def broken(kind: str, data: bytes, parts: dict[str, bytes], rng: random.Random) -> bytes:
    """A broken copy: of the file, or of one member with all checksums right again."""
    if kind in ("shard", "old"):
        return garbled(data, rng)
    name = rng.choice(sorted(parts))
    file = io.BytesIO()
    changed = {**parts, name: garbled(parts[name], rng)}
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for key, value in changed.items():
            new.writestr(f"{key}.npy", value)
    return file.getvalue()


def read(path: Path) -> str:
    """Open a file and use all of it; what came of it."""
    try:
        shards = Shards.open([str(path)], VOCAB, background=False)
        rows = shards.rows(np.arange(len(shards)))
    except PlainBertError as error:
        return type(error).__name__ if str(path) in str(error) else f"no name: {error}"
    assert np.array_equal(rows.lengths, shards.lengths)
    assert rows.lengths.min() > 0
    assert rows.ids.min() >= 0
    assert rows.ids.max() < len(VOCAB)
    if len(rows.masked_ids):
        assert rows.masked_positions.min() >= 0
        assert np.all(rows.masked_positions < rows.lengths[rows.masked_sequence])
        assert rows.masked_ids.min() >= 0
        assert rows.masked_ids.max() < len(VOCAB)
    return "read"


def main(kind: str, number: int, folder: Path, seed: int) -> Counter[str]:
    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    path = folder / "garbled.npz"
    whole(kind, path)
    data, parts = path.read_bytes(), members(path)
    assert read(path) == "read"
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), used + (1 << 30)))
    outcomes: Counter[str] = Counter()
    for _ in range(number):
        signal.alarm(10)
        path.write_bytes(broken(kind, data, parts, rng))
        outcomes[read(path)] += 1
    signal.alarm(0)
    return outcomes


if __name__ == "__main__":
    print(dict(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
