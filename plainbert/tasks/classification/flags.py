"""Flags that say what a classifier learns. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.cli.settings import Flags, option
from plainbert.tasks.classification import names


@dataclass(frozen=True, kw_only=True)
class TaskFlags(Flags):
    """A task by its name, or the label of rows in files."""

    task_name: str | None = option(
        None, str, f"What to learn: {names.HELP}.", group="data", metavar="NAME"
    )
    label_column: str = option(
        "label",
        str,
        "Column that holds the label, by name or number from 0.",
        group="data",
        metavar="NAME",
    )


@dataclass(frozen=True, kw_only=True)
class LabelsFlags(TaskFlags):
    """What the labels are."""

    regression: bool = option(
        False, None, "The labels of the files are quantities, not classes.", group="data"
    )
