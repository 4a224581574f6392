"""One export: the runtime's files, all that must go with them, and the proof of the result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from plainbert import files, folders
from plainbert.errors import UsageError
from plainbert.export import manifest
from plainbert.export.card import card
from plainbert.export.check import check
from plainbert.export.example import copy_program, example_of
from plainbert.export.format import Format
from plainbert.export.manifest import Manifest
from plainbert.export.source import Source
from plainbert.text.samples import TEXTS

log = logging.getLogger(__name__)

CARD = "README.md"


def export(
    source: Source,
    folder: str | Path,
    format: Format,
    *,
    texts: Sequence[tuple[str, ...]] = (),
    overwrite: bool = False,
    threads: int = 0,
) -> Manifest:
    """Write a model for another runtime, and have that runtime compute the same.

    Args:
        source: the model.
        folder: to make; it appears when the check has passed, and not at all when it has not.
        format: the format, with its options.
        texts: texts (or pairs) to check with; a few of ours when not given.
        overwrite: replace an older export; a kill leaves it, or the new one.
        threads: number of threads of the runtime; its own choice when 0.

    Returns:
        what was written beside the model, the check among it.

    Raises:
        UsageError: the folder exists, or as :meth:`plainbert.export.format.Format.require`.
        MissingDependencyError: a package of the format is not installed.
        CheckpointError: the format has no place for the model, or the check failed.
    """
    folder = Path(folder)
    format.require()
    folders.finish_folder(folder, manifest.NAME)
    if folder.exists() and not overwrite:
        raise UsageError(f"{folder} exists. Choose a new folder, or add --overwrite.")
    name = format.info.name
    with folders.replaced_folder(folder, manifest.NAME, manifest.is_export) as partial:
        log.info("writing %s: %s", name, format.info.files)
        format.write(source, partial)
        source.tokenizer.save(partial)
        if not (partial / "config.json").exists():
            source.config.save(partial / "config.json")
        copy_program(name, source.task, partial)
        log.info("checking it with %s", format.checker)
        for variant in format.variants():
            with variant.open_runner(partial, threads) as runner:
                outcome = check(source, runner, texts or TEXTS, variant.quantized)
                written = manifest.describe(source, format, outcome)
                example = example_of(written, partial, runner, texts)
            log.info("%s%s", "int8: " if variant.quantized else "", outcome.line())
        written.save(partial)
        files.write_text(partial / CARD, card(written, partial, example))
    return written
