"""What a command line will stumble over, by a quick look at what it names.

It is looked at before torch is imported. A quick look sees that a file, a model or a column is not
there, that a folder holds a run, that a GPU or a package is missing. What it lets through is still
checked where it is used. Free of torch.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from plainbert import files, folders, packages, patterns, text_files
from plainbert.cli.mistakes import render
from plainbert.cli.settings import Flags
from plainbert.errors import DataError, PlainBertError, UsageError

# Flags that name one file to read, files by patterns, a model.
FILES = (
    "train_file", "dev_file", "test_file", "predict_file", "file", "context_file", "sentencepiece",
)  # fmt: skip
PATTERNS = ("input_file", "data", "data_eval")
MODELS = ("model_dir", "model_parameters", "pretrained_bert_parameters", "source", "checkpoints")
# Options that need a package: its names, the extra that brings it.
OPTIONS = {
    "sentencepiece": (("sentencepiece",), "sentencepiece"),
    "split_sentences": (("sentencex",), "split"),
    "plot": (("matplotlib",), "plot"),
}


def check(settings: Flags) -> None:
    """Refuse a command line whose files, model or packages are not there.

    Raises:
        PlainBertError: one thing is missing.
        UsageError: several are; all are named.
    """
    errors = problems(settings)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UsageError(render(errors))


def problems(settings: Flags) -> list[PlainBertError]:
    """Everything that a quick look shows to be missing.

    Nothing in a process of several: the first one may have made what the others would see.
    """
    from plainbert.distributed.world import World

    if World.current().launcher != "single":
        return []
    with quiet():
        return [*_problems(settings), *settings.problems()]


def raised(look: Callable[[], object]) -> Iterator[PlainBertError]:
    """The error that a look at something raises, if it does.

    Args:
        look: such as reading the first row of a file.
    """
    try:
        look()
    except PlainBertError as error:
        yield error


def text_problems(*paths: str | None) -> Iterator[PlainBertError]:
    """What is in place of text in files: a spreadsheet, a PDF.

    Args:
        paths: of files; None and what is not there are passed over.
    """
    for path in paths:
        if path is not None and Path(path).is_file():
            yield from raised(partial(next, text_files.blocks(path), None))


def _problems(settings: Flags) -> Iterator[PlainBertError]:
    values = settings.values()
    for name in FILES:
        path = values.get(name)
        if path and path != "-" and not Path(path).is_file():
            yield _no_file(name, path)
    for name in PATTERNS:
        for pattern in values.get(name) or ():
            if not patterns.matching(pattern) and not _on_its_way(pattern):
                yield _no_file(name, pattern)
    for name in MODELS:
        words = values.get(name) or ()
        for word in (words,) if isinstance(words, str) else words:
            yield from _model(word)
    for name, (names, extra) in OPTIONS.items():
        if values.get(name):
            yield from raised(partial(packages.require, names, extra, f"--{name}"))


def _on_its_way(pattern: str) -> bool:
    """Whether a set of files is beside its folder still: who reads it puts it in place."""
    return any(
        patterns.matching(os.path.join(folder, folders.COMMITTED))
        for folder in (os.path.dirname(pattern), pattern)
    )


def _no_file(name: str, path: str) -> DataError:
    if Path(path).is_dir():
        return DataError(f"is a folder; --{name} names a file.", path)
    folder = Path(path).parent
    names = os.listdir(folder) if folder.is_dir() else []
    near = difflib.get_close_matches(Path(path).name, names, n=1)
    guess = f" Did you mean {folder / near[0]}?" if near else ""
    if glob.has_magic(path):
        return DataError(f"matches no file; --{name} needs one.{guess}", path)
    return DataError(f"does not exist; --{name} needs a file.{guess}", path)


def _model(word: str) -> Iterator[PlainBertError]:
    from plainbert.config import BertConfig
    from plainbert.hub import lookup

    if patterns.matching(f"{word}_*.params"):  # GluonNLP's prefix
        return

    def look() -> None:
        path = lookup.path_or_record(word)
        config = path / "config.json" if isinstance(path, Path) else None
        if config is None or not config.is_file():
            return
        if files.read_json(config).get("model_type", "bert") != "bert":
            BertConfig.from_file(config)

    yield from raised(look)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged: who reads a file to its end will say what is to be said of it."""
    log = logging.getLogger("plainbert")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
