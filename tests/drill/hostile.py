"""Files that lie: models, vocabularies, tables and data are garbled, and commands read them."""

from __future__ import annotations

import functools
import json
import random
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from plainbert import checkpoint
from plainbert.recipes import (
    convert_checkpoint,
    embedding,
    finetune_classifier,
    predict_classifier,
    run_pretraining,
)
from plainbert.text.reader import read_tokenizer
from tests.drill.child import Child
from tests.drill.judge import Fault, shortened
from tests.helpers import folders, fuzz_checkpoint, fuzz_corpus
from tests.helpers.garbled import garbled
from tests.helpers.npz_files import VOCAB
from tests.keys.test_garbled_files import MODEL_FILES, TOKENIZER_FILES
from tests.keys.test_tokenizer_settings import make

MEMORY = 2 << 30  # bytes more than this process has
SECONDS = 30
Garble = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A file that is garbled, and a command that reads it.

    Args:
        name: of the kind of file.
        main: of the script.
        argv: its words.
        output: what it writes; None: nothing.
        file: what is garbled.
        garble: how.
    """

    name: str
    main: Callable[[list[str]], object]
    argv: list[str]
    output: Path | None
    file: Path
    garble: Garble


def targets(root: Path) -> list[Target]:
    """All of them; the whole files are written to a folder."""
    torch.manual_seed(2)
    shared = ["--gpus", "", "--threads", "1"]
    lines = root / "lines.txt"
    lines.write_text("the cat\na b [E1]\n")
    found = []

    def add(name: str, main: Callable[[list[str]], object], argv: list[str], output: str | None,
            file: Path, garble: Garble) -> None:  # fmt: skip
        place = None if output is None else root / "results" / output
        words = [word.replace("{output}", str(place)) for word in argv]
        found.append(Target(name, main, words, place, file, garble))

    body = checkpoint.write(root / "body", folders.tiny("embedding"), folders.tokenizer())
    head = checkpoint.write(root / "head", folders.tiny(), folders.tokenizer())
    embed = ["--file", str(lines), "--output", "{output}", "--overwrite", *shared]
    for name, value in MODEL_FILES.items():
        (body / name).parent.mkdir(exist_ok=True)
        if value is not None:
            (body / name).write_text(json.dumps(value))
        add(f"model's {name}", embedding.main, ["--model_dir", str(body), *embed], "v.npz",
            body / name, _as_json)  # fmt: skip
    for name in sorted(TOKENIZER_FILES.keys() - {"config"}):
        folder = make(root / f"with-{name}", **{name: TOKENIZER_FILES[name]})
        _add_weights(folder)
        add(f"{name}.json", embedding.main, ["--model_dir", str(folder), *embed], "v.npz",
            folder / f"{name}.json", _as_json)  # fmt: skip
    predict = ["--file", str(lines), "--output", "{output}", "--overwrite", *shared]
    predicts = ["--model_dir", str(head), *predict]
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        add(f"classifier's {name}", predict_classifier.main, predicts, "p.tsv", head / name,
            _as_json if name.endswith(".json") else fuzz_checkpoint.mutated)  # fmt: skip
    other = shutil.copytree(head, root / "source")
    add("safetensors to convert", convert_checkpoint.main,
        ["--from", str(other), "--to", "{output}"], "converted", other / "model.safetensors",
        fuzz_checkpoint.mutated)  # fmt: skip
    for suffix, text in _tables().items():
        path = root / f"table{suffix}"
        path.write_text(text)
        add(f"table {suffix}", finetune_classifier.main,
            ["--model_dir", str(head), "--train_file", str(path), "--dev_file", str(path),
             "--epochs", "1", "--batch_size", "8", "--max_len", "12", "--output_dir", "{output}",
             "--overwrite", *shared], "run", path, fuzz_checkpoint.mutated)  # fmt: skip
    vocab = root / "npz.vocab.txt"
    VOCAB.save_txt(vocab)
    for kind in ("shard", "shard-members", "old", "old-members"):
        path = root / kind / f"{kind}.npz"
        path.parent.mkdir()
        fuzz_corpus.whole(kind, path)
        parts = fuzz_corpus.members(path)
        add(f"npz {kind}", run_pretraining.main,
            ["--model", "bert_2_32_2", "--data", str(path), "--vocab", str(vocab),
             "--do_lower_case", "true", "--num_steps", "1", "--batch_size", "2", "--ckpt_dir",
             "{output}", "--overwrite", *shared], "pretrained", path,
            functools.partial(_as_npz, kind=kind, parts=parts))  # fmt: skip
    return found


def hostile(target: Target, draw: random.Random, results: Path) -> str:
    """Garble the file and let the command read it."""
    whole = target.file.read_bytes()
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    is_file = target.output is not None and target.output.suffix != ""
    if target.output is not None and is_file:
        target.output.write_text("older")
    content = target.garble(whole, draw)
    try:
        target.file.write_bytes(content)
        ended = Child(target.main, target.argv, results.with_name("log"), _limited).end(SECONDS)
    finally:
        target.file.write_bytes(whole)
    if not (ended.is_done or ended.is_refused):
        raise Fault(f"{target.name}: {shortened(ended)}\nfor {content[:600]!r}")
    if ended.is_done:
        if target.output is not None and not target.output.exists():
            raise Fault(f"{target.name}: status 0 and no result")
        return "read"
    if target.output is not None and is_file and target.output.read_text() != "older":
        raise Fault(f"{target.name}: refused, and the older result is gone")
    if any(results.rglob("step-*")) or (target.name.startswith("safet") and target.output.exists()):
        raise Fault(f"{target.name}: refused, and a result is there")
    return "clear error"


def _limited(work: Callable[[], object]) -> None:
    """Little memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    work()


def _as_json(data: bytes, draw: random.Random) -> bytes:
    return garbled(json.loads(data), draw)


def _as_npz(data: bytes, draw: random.Random, *, kind: str, parts: dict[str, bytes]) -> bytes:
    return fuzz_corpus.broken(kind, data, parts, draw)


def _tables() -> dict[str, str]:
    rows = [("the cat " + "a " * (n % 4), n % 2) for n in range(16)]
    return {
        ".tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows),
        ".csv": "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows),
        ".jsonl": "".join(json.dumps({"text": text, "label": y}) + "\n" for text, y in rows),
    }


def _add_weights(folder: Path) -> None:
    """Make a folder of a tokenizer a model."""
    rows = len(read_tokenizer(folder, lower=True).vocab)
    made = checkpoint.write(
        folder.with_name(f"{folder.name}-weights"),
        folders.tiny("embedding", vocab_size=max(rows, 40)),
        folders.tokenizer(),
    )
    for name in ("model.safetensors", "config.json"):
        shutil.copy(made / name, folder / name)
