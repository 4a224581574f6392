"""A task class from the user's own Python file: ``path/to/my.py:MyTask``.

Only a name typed on the command line (or passed by a caller) gets here; a checkpoint never names
a class to import.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from plainbert.errors import PlainBertError, UnknownNameError, UsageError
from plainbert.tasks.classification.task import Task


def is_own(name: str) -> bool:
    """Whether a task name means a class in a file."""
    return name.endswith(".py") or ".py:" in name


def load(name: str) -> Task:
    """Import the file, make the task and check that it is complete.

    Args:
        name: ``path/to/my.py:MyTask``.

    Raises:
        UsageError: no such file, it cannot be imported, the class is not a
            :class:`plainbert.tasks.classification.task.Task`, or it lacks something.
        UnknownNameError: the file has no such class.
    """
    file, colon, class_name = name.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise UsageError(f"{name!r} names no class. Expected: path/to/my.py:MyTask.")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file}. Expected: path/to/my.py:MyTask.")
    module = _import(path)
    classes = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    if class_name not in classes:
        fix = "" if classes else f"{path} defines no class."
        raise UnknownNameError(f"class in {path}", class_name, classes, fix)
    return _instance(classes[class_name], name)


def _import(path: Path) -> ModuleType:
    module_name = f"plainbert_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # pickling to worker processes and dataclasses look here
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise UsageError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _instance(own: type, name: str) -> Task:
    if not issubclass(own, Task):
        raise UsageError(
            f"{name} is not a task: write class {own.__name__}(Task), with "
            "from plainbert.tasks.classification.task import Example, Task."
        )
    missing = [attribute for attribute in Task.required if not hasattr(own, attribute)]
    if own.rows is Task.rows and own.read is Task.read:
        missing.append("rows(split, folder)")
    # Attributes that only __init__ sets are looked for on the instance below.
    if missing and "__init__" not in vars(own):
        raise UsageError(f"{name} lacks {', '.join(missing)}. See plainbert/tasks/task.py.")
    try:
        task = own()
    except PlainBertError:
        raise
    except Exception as error:
        raise UsageError(
            f"{name}() fails: {type(error).__name__}: {error}. A task is made without arguments."
        ) from error
    missing = [attribute for attribute in Task.required if not hasattr(task, attribute)]
    if missing:
        raise UsageError(f"{name} lacks {', '.join(missing)}. See plainbert/tasks/task.py.")
    _check(task, name)
    return task


def _check(task: Task, name: str) -> None:
    """What is likely to be written wrongly: texts where tuples belong, unknown metrics."""
    from plainbert.tasks.classification.scores import METRICS

    for attribute in ("metrics", "text_names", "dev_splits", "test_splits", "labels"):
        value = getattr(task, attribute)
        if attribute == "labels" and value is None:
            continue
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            raise UsageError(
                f"{name}: {attribute} must be a tuple of texts, like ('one', 'two'); "
                f"it is {value!r}."
            )
    if task.labels is not None and len(set(task.labels)) < max(2, len(task.labels)):
        raise UsageError(f"{name}: labels must be two or more different names: {task.labels!r}.")
    for metric in task.metrics:
        if metric not in METRICS:
            raise UnknownNameError("metric", metric, METRICS)
    if not task.metrics:
        raise UsageError(f"{name}: metrics is empty; known: {', '.join(METRICS)}.")
