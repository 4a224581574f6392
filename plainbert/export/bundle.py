"""One export: the runtime's files, all that must go with them, and the proof of the result."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from plainbert import files, folders
from plainbert.errors import UnknownNameError, UsageError
from plainbert.export import manifest
from plainbert.export.card import card
from plainbert.export.check import check
from plainbert.export.manifest import Manifest
from plainbert.export.names import FORMATS, Options
from plainbert.export.runner import Runner
from plainbert.export.source import Source
from plainbert.text.samples import TEXTS

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
CARD = "README.md"


def export(
    source: Source,
    folder: str | Path,
    format: str,
    options: Options = Options(),  # noqa: B008 (frozen)
    *,
    texts: Sequence[tuple[str, ...]] = (),
    overwrite: bool = False,
    threads: int = 0,
) -> Manifest:
    """Write a model for another runtime, and have that runtime compute the same.

    Args:
        source: the model.
        folder: to make; it appears when the check has passed, and not at all when it has not.
        format: a key of :data:`plainbert.export.names.FORMATS`.
        options: see there.
        texts: to check with; a few of ours when not given.
        overwrite: replace an older export; a kill leaves it, or the new one.
        threads: of the runtime; its own choice when 0.

    Returns:
        what was written beside the model, the check among it.

    Raises:
        UnknownNameError: no such format.
        UsageError: the folder exists, or as :func:`require`.
        MissingDependencyError: as there.
        CheckpointError: the format has no place for the model, or the check failed.
    """
    folder = Path(folder)
    require(format, options)
    folders.finish_folder(folder, manifest.NAME)
    if folder.exists() and not overwrite:
        raise UsageError(f"{folder} exists. Choose a new folder, or add --overwrite.")
    with folders.replaced_folder(folder, manifest.NAME, manifest.is_export) as partial:
        log.info("writing %s: %s", format, FORMATS[format].what)
        module_of(format).write(source, partial, options)
        source.tokenizer.save(partial)
        if not (partial / "config.json").exists():
            source.config.save(partial / "config.json")
        shutil.copyfile(HERE / format / "predict.py", partial / "predict.py")
        log.info("checking it with %s", FORMATS[format].runtime)
        for small in (False, True) if options.int8 else (False,):
            with opened(partial, format, threads, replace(options, int8=small)) as runner:
                found = check(source, runner, texts or TEXTS, small)
            log.info("%s%s", "int8: " if small else "", found.line())
        written = manifest.describe(source, format, options, found)
        written.save(partial)
        files.write_text(partial / CARD, card(written, partial))
    return written


def require(format: str, options: Options = Options()) -> None:  # noqa: B008 (frozen)
    """Make sure, before any work, that an export can be written and run here.

    Raises:
        UnknownNameError: no such format.
        UsageError: its runtime or its compiler is not there, or int8 lacks texts.
        MissingDependencyError: a package is not installed.
    """
    module_of(format).require(options)


def module_of(format: str) -> Any:
    """The module that writes and runs a format.

    Raises:
        UnknownNameError: there is none.
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    return import_module(f"plainbert.export.{format}.format")


def opened(folder: Path, format: str, threads: int, options: Options) -> Runner:
    """An exported model in its own runtime."""
    words: dict[str, Any] = {"int8": True} if options.int8 else {}
    runner: Runner = module_of(format).open_runner(folder, threads, options.python, **words)
    return runner
