"""Damaged files by the thousand: an error that names the file or a model, never anything else."""

from __future__ import annotations

import io
import os
import random
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from plainbert.errors import CheckpointError, FormatError, UsageError
from plainbert.formats.gluonnlp import params, reader
from tests.helpers import params_files as raw

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parents[1] / "fixtures" / "gluonnlp"
SLOWEST = 2.0  # seconds for one file, on a busy machine
GROWTH = 1 << 30  # bytes of address space: what the readers may unpack, and no more
EXTREMES = [
    struct.pack(layout, value)
    for layout, values in (
        ("<i", (0, 1, -1, 2, 12, 13, 33, 2**31 - 1, -(2**31))),
        ("<I", (0x112, raw.V1, raw.V2, raw.V3, 0xFFFFFFFF)),
        ("<q", (0, 1, -1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63))),
    )
    for value in values
]


def seeds() -> list[bytes]:
    """Real files, and one of each rarer kind."""
    small = sorted((FIXTURES / "flat").glob("*.params"))
    large = [FIXTURES / "bert_tiny.params", FIXTURES / "export" / "ner-0000.params"]
    arrays = params.read(small[0])
    stored, packed = io.BytesIO(), io.BytesIO()
    np.savez(stored, **{name: tensor.numpy() for name, tensor in arrays.items()})
    np.savez_compressed(packed, a=np.arange(200.0), b=np.ones((3, 4), "int8"))
    floats, whole = np.float32([[1, 2]]), np.int64([1])
    kinds = raw.listed(
        [raw.v0(floats), raw.v1(floats), raw.v3(np.array(1.0)),
         raw.sparse(1, (4, 2), floats, whole),
         raw.sparse(2, (2, 2), np.float32([1]), np.int64([0, 1, 1]), whole)],
        ["a", "bc", "d", "e", "f"],
    )  # fmt: skip
    few = [path.read_bytes() for path in small] + [stored.getvalue()]
    return few * 2 + [path.read_bytes() for path in large] + [kinds, packed.getvalue()] * 6


def damaged(content: bytes, other: bytes, draw: random.Random) -> bytes:
    """One to three seeded changes."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 3))):
        # Half of them near the ends, where the numbers and names are dense.
        near = min(len(data), 200)
        at = draw.choice((draw.randrange(len(data)), draw.randrange(near),
                          len(data) - 1 - draw.randrange(near)))  # fmt: skip
        match draw.randrange(7):
            case 0:
                data[at] ^= 1 << draw.randrange(8)
            case 1 | 2 | 3:
                value = draw.choice(EXTREMES)
                data[at & ~3 : (at & ~3) + len(value)] = value
            case 4:
                del data[max(at, 1) :]
            case 5:
                start = draw.randrange(len(other))
                data[at:at] = other[start : start + draw.randrange(1, 400)]
            case 6:
                del data[at : at + draw.randrange(1, 64)]
        if not data:
            return b"\0"
    return bytes(data)


def main(folder: Path, files: int) -> None:
    """Read them all under a limit of memory; print what happened."""
    path = folder / "bert_2_8_2_fuzz.params"
    contents, draw = seeds(), random.Random(3)
    for content in contents:
        path.write_bytes(content)
        params.read(path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + GROWTH, used + GROWTH))
    outcomes, slowest = dict.fromkeys(("arrays", "model", "refused"), 0), 0.0
    for number in range(files):
        path.write_bytes(damaged(draw.choice(contents), draw.choice(contents), draw))
        start = time.perf_counter()
        try:
            if number % 2:
                reader.read(path)
                outcomes["model"] += 1
            else:
                sum(tensor.numel() for tensor in params.read(path).values())
                outcomes["arrays"] += 1
        except (FormatError, CheckpointError, UsageError) as error:
            if str(path) not in str(error):
                raise RuntimeError(f"names no file: {error}") from error
            outcomes["refused"] += 1
        slowest = max(slowest, time.perf_counter() - start)
    print(*outcomes.values(), f"{slowest:.3f}")


@pytest.mark.volume(sample=1200, whole=10_000)
def test_damaged_files(tmp_path: Path, trials: int) -> None:
    code = (
        "import tests.formats.gluonnlp.test_params_fuzz as f; "
        f"f.main(f.Path({str(tmp_path)!r}), {trials})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    arrays, models, refused, slowest = map(float, done.stdout.split())
    assert arrays + models + refused == trials
    # The damage is neither always harmless nor always at the same early check.
    assert arrays > 0.03 * trials, done.stdout
    assert models > 0.03 * trials, done.stdout
    assert refused > 0.3 * trials, done.stdout
    assert slowest < SLOWEST
