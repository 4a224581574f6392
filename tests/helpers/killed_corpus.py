"""Kill the scripts that make data and look at what is left.

    python -m tests.helpers.killed_corpus FOLDER WAY MOMENTS KILLS SEED

WAY is pretraining or punctuation. There are kills before MOMENTS of the changes of a file, and
KILLS at random moments with several processes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plainbert.errors import DataError, FormatError
from tests.helpers import kills, scripts, texts

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "fixtures" / "text" / "unigram1000.model"
MARKS = ".,?!;"
MINE = "notes.txt"  # the user's own file
OF_RUN = {"args.json", "log.txt"}
Content = dict[str, bytes]


def script(name: str) -> Callable[[list[str]], Any]:
    found: Callable[[list[str]], Any] = scripts.load(ROOT / "scripts" / "bert" / name).main
    return found


def content(folder: Path, hidden: bool = False) -> Content:
    """The files of a set; how long the work took is left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name in OF_RUN or (name.startswith(".") and not hidden):
            continue
        found[name] = re.sub(rb'"seconds": [\d.]+', b"", path.read_bytes())
    return found


class Pretraining:
    """A set of shards is made where there is an older one, with other text and vocabulary."""

    def __init__(self, root: Path) -> None:
        self.main, self.root = script("create_pretraining_data.py"), root
        vocab = root / "vocab.txt"
        texts.tokenizer().vocab.save_txt(vocab)
        common = ["--max_seq_length", "32", "--overwrite"]
        self.words = {
            "old": [*common, "--sentencepiece", str(MODEL), "--cased", "--num_outputs", "3",
                    "--input_file", str(texts.write(root, 12, 1, "old.txt"))],
            "new": [*common, "--vocab", str(vocab), "--do_lower_case", "--num_outputs", "2",
                    "--input_file", str(texts.write(root, 12, 2, "new.txt"))],
        }  # fmt: skip
        self.pretrain = script("run_pretraining.py")

    def make(self, which: str, folder: Path, workers: int = 0) -> None:
        self.main([*self.words[which], "--output_dir", str(folder), "--num_workers", str(workers)])

    def trains(self, folder: Path) -> bool:
        """Whether run_pretraining.py accepts what is in a folder."""
        data = f"{folder}/part-*.npz"
        if not any(folder.rglob("part-*")):  # quicker
            return False
        try:
            with Quiet():
                self.pretrain(
                    ["--model", "bert_2_32_2", "--data", data, "--num_steps", "1", "--batch_size",
                     "4", "--ckpt_dir", str(self.root / "run"), "--overwrite", "--gpus", "",
                     "--verify_shards"]
                )  # fmt: skip
        except DataError:  # no file is there
            return False
        except FormatError as error:
            if "not whole: it has no summary.json" not in str(error):
                raise
            return False
        return True


class Punctuation:
    """Three files are made where there are older ones."""

    def __init__(self, root: Path) -> None:
        self.main = script("create_punctuation_data.py")
        draw = random.Random(1)
        for which in ("old", "new"):
            documents = (
                "\n".join(" ".join(f"{which}{draw.randrange(99)}{draw.choice(MARKS)}"
                                   for _ in range(9)) for _ in range(3)) for _ in range(60)
            )  # fmt: skip
            (root / f"{which}.txt").write_text("\n\n".join(documents))
        self.words = {
            "old": ["--input_file", str(root / "old.txt"), "--overwrite"],
            "new": ["--input_file", str(root / "new.txt"), "--overwrite", "--test_share", "0"],
        }

    def make(self, which: str, folder: Path, workers: int = 0) -> None:
        del workers
        self.main([*self.words[which], "--output_dir", str(folder)])

    def trains(self, folder: Path) -> bool:
        """No script of the project takes the three as a set."""
        return False


class Quiet:
    """Nothing of what the scripts say."""

    def __enter__(self) -> None:
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)


class Drill:
    """Where a set is made, and what may be left of it.

    Args:
        task: what is made.
        root: an empty folder.
        older: whether an older set lies there, beside a file of the user's.
    """

    def __init__(self, task: Any, root: Path, older: bool) -> None:
        self.task, self.root, self.older = task, root, older
        self.folder, self.copy = root / "out", root / "copy"
        self.sets = {which: content(root / which) for which in ("old", "new")}
        self.seen: set[str] = set()

    def prepare(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.older:
            shutil.copytree(self.root / "old", self.folder)
            (self.folder / MINE).write_text("mine")

    def make(self, workers: int = 0) -> None:
        logging.disable(logging.CRITICAL)
        self.task.make("new", self.folder, workers)

    def check(self, _: int) -> None:
        """Look at what a kill left; a state that was seen before needs no second look."""
        if not self.folder.exists() or (state := self.state()) in self.seen:
            return
        self.seen.add(state)
        # What anybody sees, hidden files left out: never a mixture.
        visible = self.copied(".*")
        assert any(visible.items() <= each.items() for each in self.sets.values()), [*visible]
        if self.task.trains(self.copy):
            assert visible in self.sets.values(), [*visible]
        # What our reader makes of it all: the old set or the new one.
        self.copied()
        if self.task.trains(self.copy):
            assert self.found() in self.sets.values(), [*self.found()]
        else:
            assert not self.older or isinstance(self.task, Punctuation)
        # What the next start makes of it, which finishes or undoes first.
        self.copied()
        with Quiet():
            self.task.make("new", self.copy)
        assert self.found() == self.sets["new"]
        hidden = [path.name for path in self.copy.glob(".*") if "args.json" not in path.name]
        assert hidden == []

    def state(self) -> str:
        """The names of all files, random parts left out, and what is in the visible ones."""
        names = [re.sub(r"\.\w{8}(?=\.)", "", name) for name in content(self.folder, hidden=True)]
        parts = [hashlib.sha256(data).hexdigest() for data in content(self.folder).values()]
        return json.dumps([names, parts])

    def copied(self, *without: str) -> Content:
        """The set in a copy of the folder."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.folder, self.copy, ignore=shutil.ignore_patterns(*without))
        return self.found()

    def found(self) -> Content:
        """The set in the copy; the user's own file is always there."""
        files = content(self.copy)
        assert files.pop(MINE, None) == (b"mine" if self.older else None)
        return files


def main(root: Path, way: str, moments: int, number: int, seed: int) -> None:
    import torch  # before the forks, which would each import it; no worker needs it

    torch.set_num_threads(1)
    task: Any = {"pretraining": Pretraining, "punctuation": Punctuation}[way](root)
    with Quiet():
        for which in ("old", "new"):
            task.make(which, root / which)
    for older in (False, True):
        drill = Drill(task, root, older)
        assert drill.sets["old"] != drill.sets["new"]
        done = kills.before_each_change(
            drill.make, kills.below(drill.folder), drill.prepare, drill.check, moments
        )
        make = functools.partial(drill.make, 2)
        kills.at_random(make, number, random.Random(seed), drill.prepare, drill.check)
        print(f"kills: {done + number}; states: {len(drill.seen)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6]))
