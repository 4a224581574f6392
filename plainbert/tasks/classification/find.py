"""From a name to a task."""

from __future__ import annotations

import copy
from pathlib import Path

from plainbert.tasks.classification import own
from plainbert.tasks.classification.names import canonical
from plainbert.tasks.classification.task import Task


def find(name: str, folder: str | Path | None = None) -> Task:
    """The task behind a name that a user typed.

    Args:
        name: a published task (case and hyphens do not matter), or ``path/to/my.py:MyTask``.
        folder: where its files are: its own folder, or one that holds it; None means
            ``$GLUE_DIR``, ``./glue_data``, then the ``datasets`` library.

    Raises:
        UnknownNameError: no such task; names the nearest.
        UsageError: a class of the user's own that cannot be loaded.
    """
    if own.is_own(name):
        task = own.load(name)
    else:
        from plainbert.tasks.classification import chinese, glue

        known = {task.name: task for task in (*glue.TASKS, *chinese.TASKS)}
        task = copy.copy(known[canonical(name)])  # the caller may set its folder
    if folder is not None:
        task.folder = Path(folder)
    return task
