"""Published tasks through the ``datasets`` library (an extra): the hub, or a saved copy.

A folder written by ``DatasetDict.save_to_disk`` is read like the hub, without a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plainbert.errors import DataError, DownloadError, MissingDependencyError, UnknownNameError
from plainbert.tasks.classification.task import Example


@dataclass(frozen=True)
class HubSet:
    """Where a task lies on the hub, and how its columns and labels are called there.

    Args:
        path: the data set's name.
        config: its configuration, if it has several.
        texts: its text columns, in our order.
        label: its label column.
        splits: our split names to theirs.
        names: their label names to ours; names that agree are not listed. Labels are matched by
            name, because the order differs (MNLI).
        row: the column of the submission's index.
    """

    path: str
    config: str | None
    texts: tuple[str, ...]
    label: str = "label"
    splits: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "dev": "validation", "test": "test"}
    )
    names: Mapping[str, str] = field(default_factory=dict)
    row: str | None = "idx"


def examples(
    name: str, hub: HubSet, split: str, saved: Path | None, tried: list[str]
) -> Iterator[Example]:
    """Yield the examples of one split.

    Args:
        name: the task's, for messages.
        hub: where it is and how its columns are called.
        split: ours.
        saved: a folder of ``save_to_disk``; None: the hub.
        tried: folders that did not hold the task, for messages.

    Raises:
        MissingDependencyError: the ``datasets`` library is not installed.
        DownloadError: the hub cannot be reached; says which folders were tried.
        DataError: the data set has other columns or splits than expected.
    """
    data = _load(name, hub, split, saved, tried)
    where = str(saved or hub.path)
    needed = [*hub.texts, hub.label]
    for column in needed:
        if column not in data.column_names:
            raise DataError(str(UnknownNameError(f"column of {where}", column, data.column_names)))
    row = hub.row if hub.row in data.column_names else None
    class_names: list[str] | None = getattr(data.features[hub.label], "names", None)
    keep = [*needed, *([row] if row else [])]
    for number, values in enumerate(data.select_columns(keep)):
        yield Example(
            tuple(values[column] for column in hub.texts),
            _label(values[hub.label], class_names, hub.names),
            values[row] if row else number,
        )


def _label(
    value: Any, class_names: list[str] | None, ours: Mapping[str, str]
) -> str | float | None:
    """A label by name; None where the set hides it (None or -1)."""
    if value is None or (not isinstance(value, str) and value == -1):
        return None
    if class_names is not None:
        value = class_names[value]
    if isinstance(value, float):
        return value
    return ours.get(str(value), str(value))


def _load(name: str, hub: HubSet, split: str, saved: Path | None, tried: list[str]) -> Any:
    """A ``datasets.Dataset``."""
    try:
        import datasets
    except ImportError:
        looked = f" (no files in {', '.join(tried)})" if tried else ""
        raise MissingDependencyError(
            "datasets", "datasets", f"reading {name} without its folder{looked}"
        ) from None
    theirs = hub.splits[split]
    if saved is not None:
        stored = datasets.load_from_disk(str(saved))
        if theirs not in stored:
            raise DataError(str(UnknownNameError("split", theirs, list(stored))), saved)
        return stored[theirs]
    try:
        return datasets.load_dataset(hub.path, hub.config, split=theirs)
    except Exception as error:  # every network layer below has its own kind
        config = f" ({hub.config})" if hub.config else ""
        raise DownloadError(
            f"{name}: no files in {', '.join(tried) or 'any folder'}, and the hub's data set "
            f"{hub.path}{config} could not be read: {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no details'}\n"
            f"Put the task's files into ./glue_data/{name} or $GLUE_DIR/{name} (set GLUE_DIR to "
            "the folder that holds the tasks); the hub needs a network and pip install "
            "'.[datasets]'."
        ) from error
