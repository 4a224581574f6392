"""Open many broken copies of a small folder, in a process of its own with little memory.

    python -m tests.helpers.fuzz_checkpoint KIND NUMBER FOLDER SEED [cut]

With ``cut`` the file is cut off at NUMBER of its bytes, or at every one if there are fewer.

A crash, a hang of 10 seconds, 1 GB of memory or an error that is not ours ends the process with a
status other than 0. The last line counts what happened.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import torch

from plainbert import checkpoint
from plainbert.config import BertConfig
from plainbert.errors import FormatError, PlainBertError
from plainbert.nn.bert import Bert
from tests.helpers.folders import tokenizer

CONFIG = BertConfig(
    vocab_size=12,
    hidden_size=2,
    num_hidden_layers=1,
    num_attention_heads=1,
    intermediate_size=2,
    max_position_embeddings=2,
)
KINDS = {
    "safetensors": ("model.safetensors",),
    "zip": ("pytorch_model.bin",),
    "legacy": ("pytorch_model.bin",),
    "json": ("config.json", "model.safetensors.index.json"),
}
NUMBERS = (0, 1, -1, 127, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, -(2**63))
WORDS = (
    b"[" * 2000, b'{"a":' * 2000, b"1" * 6000, b"null", b"-1", b"1e999", b"NaN", b'"', b"\\ud800",
    b"../", b"\0", b"/dev/zero", b"c", b"R", b"Q", b"(", b"t", b".", b"F32", b"U8", b"PK\x01\x02",
)  # fmt: skip


def make(folder: Path, kind: str) -> None:
    """A whole folder of the kind."""
    torch.manual_seed(0)
    model = Bert(CONFIG)
    checkpoint.write(folder, model, tokenizer())
    single = folder / "model.safetensors"
    if kind in ("zip", "legacy"):
        single.unlink()
        path = folder / "pytorch_model.bin"
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "json":
        single.rename(folder / "a.safetensors")
        table = {"weight_map": dict.fromkeys(model.state_dict(), "a.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(table))


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One to four small changes: bytes, numbers, words, pieces lost, repeated or moved."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        other = rng.randrange(len(data) + 1)
        length = rng.choice((1, 2, 4, 8, 30, 200))
        kind = rng.randrange(8)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            width = rng.choice((2, 4, 8))
            number = rng.choice(NUMBERS) % 2 ** (8 * width)
            data[at : at + width] = number.to_bytes(width, "little")
        elif kind == 3:
            data[at : at + rng.choice((0, length))] = rng.choice(WORDS)
        elif kind == 4:
            del data[at : at + length]
        elif kind == 5:
            data[at:at] = data[other : other + length]
        elif kind == 6:
            data[at : at + length] = data[other : other + length]
        else:
            del data[at if rng.random() < 0.2 else len(data) :]
    return bytes(data)


def attempt(folder: Path) -> str:
    """Open the folder as far as it goes; what happened."""
    try:
        stored = checkpoint.read(folder)
        tensors = stored.tensors()
        with checkpoint.MetaInit():
            model = Bert(stored.config)
        checkpoint.load(model, tensors)
    except PlainBertError as error:
        str(error).encode("utf-8", "surrogatepass")
        return type(error).__name__
    assert not any(each.is_meta for each in model.parameters())
    return "opened"


def truncations(folder: Path, path: Path, number: int) -> Counter[str]:
    """Cut the file off: each must be a FormatError."""
    size = path.stat().st_size
    counts: Counter[str] = Counter()
    for length in sorted({size * turn // number for turn in range(number)}, reverse=True):
        os.truncate(path, length)
        signal.alarm(10)
        counts[attempt(folder)] += 1
    assert set(counts) == {FormatError.__name__}, counts
    return counts


def main() -> None:
    kind, number, place, seed, *cut = sys.argv[1:]
    rng = random.Random(int(seed))
    folder = Path(place) / kind
    shutil.rmtree(folder, ignore_errors=True)
    make(folder, kind)
    assert attempt(folder) == "opened"
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    whole = {name: (folder / name).read_bytes() for name in KINDS[kind]}
    if cut:
        (name,) = KINDS[kind]
        print(json.dumps(truncations(folder, folder / name, int(number))))
        return
    counts: Counter[str] = Counter()
    for turn in range(int(number)):
        name = rng.choice(KINDS[kind])
        for each, content in whole.items():
            (folder / each).write_bytes(mutated(content, rng) if each == name else content)
        signal.alarm(10)
        try:
            counts[attempt(folder)] += 1
        except BaseException:
            print(f"turn {turn}: {folder / name}", file=sys.stderr)
            raise
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
