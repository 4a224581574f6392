"""``modules.json``: the steps of a sentence-transformers folder, and where their files lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.errors import FormatError
from plainbert.keys import schema, sentence_files

MODULES = "modules.json"
# What the step of the transformer was called; each reads its model with transformers' classes.
TRANSFORMERS = ("Transformer", "BERT")


def steps_of(folder: Path) -> list[dict[str, Any]]:
    """The steps that ``modules.json`` lists; none where it is not there.

    Raises:
        FormatError: the file is garbled, or names a folder outside of the model's.
    """
    path = folder / MODULES
    if not path.is_file():
        return []
    modules = files.read_json_value(path)
    if not isinstance(modules, list) or not all(isinstance(item, dict) for item in modules):
        raise FormatError(f"{path} is not a list of modules with a type and a path.")
    for number, module in enumerate(modules):
        schema.check(module, sentence_files.MODULE, f"{path}, step {number}", ("type", "path"))
        step_folder(folder, module)
    return modules


def kind_of(module: Mapping[str, Any]) -> str:
    """The class of a step, without its package."""
    return str(module["type"]).rpartition(".")[2]


def step_folder(folder: Path, module: Mapping[str, Any]) -> Path:
    """A step's folder, which must lie in the model's.

    Raises:
        FormatError: it does not.
    """
    path = str(module["path"])
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path or len(path) > 200:
        raise FormatError(f"{folder / MODULES} names {path[:200]!r}, outside of the folder.")
    return folder / path


def transformer_folder(folder: Path) -> Path:
    """Where the transformer of a folder lies: since version 1 in the folder itself.

    Before, it had a folder of its own, such as ``0_BERT``.

    Raises:
        FormatError: ``modules.json`` is garbled.
    """
    for module in steps_of(folder):
        if kind_of(module) in TRANSFORMERS:
            return step_folder(folder, module)
    return folder
