"""Task and Example, for tasks of your own: see :mod:`plainbert.tasks.classification.task`."""

from __future__ import annotations

from plainbert.tasks.classification.task import Example, Task

__all__ = ["Example", "Task"]
