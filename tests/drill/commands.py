"""The commands that write, on inputs so small that each takes a moment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from plainbert import checkpoint
from plainbert.recipes import (
    convert_checkpoint,
    create_pretraining_data,
    embedding,
    export,
    finetune_classifier,
    run_pretraining,
)
from tests.helpers import folders, texts

Content = dict[str, bytes]
# How long the work took, and what else the machine says.
_TIMES = re.compile(
    rb'(?<=")(\w*second\w*|memory_gb|utilization|exported|source|time)": [\d.e+-]+'
    rb"|(On that machine) [\d.]+ texts/s, the source in torch [\d.]+"
    rb"|(`manifest.json` \|) \d+"
)
# What a run says of itself; the caches, which outlive it.
_OF_RUN = re.compile(r"(args\.json|log\.txt|events\.out\..*|raw_cache/.*)")


@dataclass(frozen=True)
class Command:
    """A script, and two command lines of it that write different results to one place.

    Args:
        name: of the script.
        main: of the script.
        words: both command lines, by "old" and "new", without where to write.
        target: the flag that says where to write.
        output: name of what is written; it has a suffix if that is a file.
        overwrites: whether it knows ``--overwrite``.
        resumes: whether it knows ``--resume``.
        locks: whether it refuses to start where another one works.
        is_run: whether the result grows, checkpoint by checkpoint.
    """

    name: str
    main: Callable[[list[str]], object]
    words: dict[str, list[str]]
    target: str
    output: str = "out"
    overwrites: bool = True
    resumes: bool = False
    locks: bool = False
    is_run: bool = False

    def argv(self, which: str, place: Path, *more: str) -> list[str]:
        return [*self.words[which], self.target, str(place / self.output), *more]

    def content(self, place: Path) -> Content:
        """What a user sees of the result: its files, by name; empty when there is none."""
        top = place / self.output
        if top.is_file():
            return {self.output: normal(top, place)}
        files = {}
        for path in sorted(top.rglob("*")):
            name = str(path.relative_to(top))
            if name.startswith(".") or _OF_RUN.fullmatch(name):
                continue
            if path.is_symlink():
                files[name] = bytes(path.readlink())
            elif path.is_file():
                files[name] = normal(path, place)
        return files

    def parts(self, content: Content) -> Content:
        """The files that are what they will be as soon as they are there."""
        if not self.is_run:
            return content
        return {name: data for name, data in content.items() if name.startswith("step-")}


def normal(path: Path, place: Path) -> bytes:
    """What is in a file, without times, and without where it was written."""
    return _TIMES.sub(rb"\1\2\3", path.read_bytes()).replace(bytes(place), b"")


def commands(root: Path) -> list[Command]:
    """All of them; their inputs are written to a folder.

    Args:
        root: the folder; empty.
    """
    torch.manual_seed(1)
    model = str(checkpoint.write(root / "model", folders.tiny(), folders.tokenizer()))
    rows = [f"the {'cat a' if n % 2 else 'b c'} {'a ' * (n % 5)}\t{n % 2}" for n in range(24)]
    table, lines = root / "train.tsv", root / "lines.txt"
    table.write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    lines.write_text("\n".join(row.split("\t")[0] for row in rows) + "\n")
    vocab = root / "vocab.txt"
    texts.tokenizer().vocab.save_txt(vocab)
    corpora = {"old": texts.write(root, 12, 1, "old.txt"), "new": texts.write(root, 12, 2)}
    shared = ["--gpus", "", "--threads", "1"]
    found = [
        Command(
            "finetune_classifier",
            finetune_classifier.main,
            {
                which: ["--model_dir", model, "--train_file", str(table), "--dev_file", str(table),
                        "--epochs", "2", "--batch_size", "8", "--save_steps", "2", "--max_len",
                        "12", "--keep_checkpoints", "50", "--lr", rate, *shared]
                for which, rate in (("old", "1e-3"), ("new", "1e-2"))
            },
            "--output_dir", resumes=True, locks=True, is_run=True,
        ),
        Command(
            "run_pretraining",
            run_pretraining.main,
            {
                which: ["--model", "bert_2_32_2", "--raw", "--data", str(path), "--vocab",
                        str(vocab), "--do_lower_case", "true", "--max_len", "32", "--num_steps",
                        "6", "--batch_size", "4", "--ckpt_interval", "2", "--keep_checkpoints",
                        "50", "--num_workers", "0", *shared]
                for which, path in corpora.items()
            },
            "--ckpt_dir", resumes=True, locks=True, is_run=True,
        ),
        Command(
            "create_pretraining_data",
            create_pretraining_data.main,
            {
                which: ["--input_file", str(path), "--vocab", str(vocab), "--do_lower_case",
                        "--max_seq_length", "32", "--num_outputs", "3" if which == "old" else "2",
                        "--num_workers", "0"]
                for which, path in corpora.items()
            },
            "--output_dir",
        ),
        Command(
            "embedding",
            embedding.main,
            {
                which: ["--model_dir", model, "--file", str(lines), "--pooling_strategy",
                        "REDUCE_MEAN" if which == "old" else "CLS_TOKEN", *shared]
                for which in ("old", "new")
            },
            "--output", output="out.npz", resumes=True, locks=True,
        ),
        Command(
            "export",
            export.main,
            {
                which: ["--model_dir", model, "--format", "torch", "--max_len", length, *shared]
                for which, length in (("old", "12"), ("new", "16"))
            },
            "--output_dir",
        ),
        Command(
            "convert_checkpoint",
            convert_checkpoint.main,
            {
                which: ["--from", model, "--format", kind]
                for which, kind in (("old", "pytorch"), ("new", "huggingface"))
            },
            "--to", overwrites=False,
        ),
    ]  # fmt: skip
    return found
