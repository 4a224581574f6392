"""Where SQuAD itself lies: the usual folders, a saved data set, the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plainbert.errors import DataError, DownloadError, MissingDependencyError
from plainbert.tasks.saved_sets import is_saved
from plainbert.tasks.squad.data import Question, Squad, gather, question_of
from plainbert.tasks.squad.files import read

SQUAD_DIR = "SQUAD_DIR"  # the environment variable that most scripts use
PACKED = ("", ".xz", ".gz")
HUB = {"1.1": "rajpurkar/squad", "2.0": "rajpurkar/squad_v2"}
HUB_SPLITS = {"train": "train", "dev": "validation"}


def folders(data_dir: str | Path | None = None) -> list[Path]:
    """Where the files are looked for, in order.

    Args:
        data_dir: the only place, if given. Else ``$SQUAD_DIR``, ``./squad`` and
            GluonNLP's own ``~/.mxnet/datasets/squad`` (under ``$MXNET_HOME`` if that is set).
    """
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    first = [Path(os.environ[SQUAD_DIR])] if os.environ.get(SQUAD_DIR) else []
    home = Path(os.environ.get("MXNET_HOME") or Path.home() / ".mxnet")
    return [*first, Path("squad"), home.expanduser() / "datasets" / "squad"]


def file_of(split: str, version: str, data_dir: str | Path | None = None) -> Path | None:
    """The file of a split ("train" or "dev") of a version ("1.1" or "2.0"), if one is there."""
    names = [f"{split}-v{version}.json{packed}" for packed in PACKED]
    paths = (folder / name for folder in folders(data_dir) for name in names)
    return next((path for path in paths if path.is_file()), None)


def find(split: str, version_2: bool = False, data_dir: str | Path | None = None) -> Squad:
    """Read a split of SQuAD from where it usually lies, else through the ``datasets`` library.

    Args:
        split: "train" or "dev".
        version_2: SQuAD 2.0, with questions that have no answer.
        data_dir: a folder with ``train-v1.1.json`` and so on, or one that
            ``DatasetDict.save_to_disk`` wrote.

    Raises:
        MissingDependencyError: there are no files, and the library is not installed.
        DownloadError: the hub cannot be reached; says which files were looked for.
        DataError: a file cannot be used.
    """
    version = "2.0" if version_2 else "1.1"
    path = file_of(split, version, data_dir)
    if path is not None:
        return read(path, training=split == "train")
    saved = next((place for place in folders(data_dir) if is_saved(place)), None)
    rows = _rows(split, version, saved, data_dir)
    name = f"{saved or HUB[version]} ({HUB_SPLITS[split]})"
    return gather(_questions(rows, name), name, training=split == "train")


def _questions(rows: Any, name: str) -> Iterator[tuple[Question, list[tuple[str, str]]]]:
    for number, values in enumerate(rows):
        for key in ("context", "question", "id"):
            if not isinstance(values.get(key), str):
                raise DataError(f"row {number} has no text as {key!r}.", name)
        place = f"{name}: row {number}"
        yield question_of(place, values, values["context"], str(values.get("title", "")))


def _rows(split: str, version: str, saved: Path | None, data_dir: str | Path | None) -> Any:
    """A split as a ``datasets.Dataset``."""
    looked = ", ".join(str(place) for place in folders(data_dir))
    name = f"{split}-v{version}.json"
    try:
        import datasets
    except ImportError:
        raise MissingDependencyError(
            "datasets",
            "datasets",
            f"reading SQuAD {version} without its files ({name}, not in {looked})",
        ) from None
    if saved is not None:
        stored = datasets.load_from_disk(str(saved))
        if HUB_SPLITS[split] not in stored:
            raise DataError(f"has no split {HUB_SPLITS[split]!r}, but {sorted(stored)}.", saved)
        return stored[HUB_SPLITS[split]]
    try:
        return datasets.load_dataset(HUB[version], split=HUB_SPLITS[split])
    except Exception as error:  # every network layer below has its own kind
        first = str(error).splitlines()[0] if str(error) else "no details"
        raise DownloadError(
            f"SQuAD {version}: no {name} in {looked}, and the hub's data set {HUB[version]} "
            f"could not be read: {type(error).__name__}: {first}\n"
            f"Give the file with --train_file and --predict_file, or put it into ${SQUAD_DIR} "
            "or ./squad."
        ) from error
