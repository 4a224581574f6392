"""What commands print: one word for one thing, and nothing only its authors can use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "plainbert"
# What a data set consists of has one name, "rows", wherever it is counted.
OTHER = r"(?:examples?|samples?|records?|items?|instances?|inputs?|sentences?|questions|texts)"
COUNTED = re.compile(rf"(?:%d|%s|\{{\}}) (?:of (?:%d|%s|\{{\}}) )?{OTHER}\b|\b{OTHER}/s\b")
# Sentences of a text in documents, before there are rows.
TEXT = {"tasks/pretraining/summary.py", "tasks/pretraining/raw_text.py"}
# Rooms whose messages are about data sets.
ROOMS = ("batching", "compare", "infer", "recipes", "tasks", "train")


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """All texts of a module but docstrings, values in them as ``{}``."""
    parts = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for child in ast.walk(node)
        if child is not node
    }
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):  # what was given is called as the caller calls it
            parts |= {id(child) for child in ast.walk(node)}
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            parts.add(id(node.body[0].value))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if id(node) in parts:
            continue
        if isinstance(node, ast.JoinedStr):
            pieces = (
                part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
            yield node.lineno, "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def faults(source: str) -> list[str]:
    found = []
    for line, text in strings(ast.parse(source)):
        if match := COUNTED.search(text):
            found.append(f"{line}: {match[0]}")
    return found


def test_rows_are_called_rows() -> None:
    wrong = []
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            name = str(path.relative_to(PACKAGE))
            wrong += [f"{name}:{fault}" for fault in faults(path.read_text("utf-8"))]
    assert [fault for fault in wrong if fault.split(":")[0] not in TEXT] == []


@pytest.mark.parametrize(
    "line",
    [
        'log.info("%d examples, 2 a step", 3)',
        'print(f"{count:,} instances in shards")',
        'log.warning("%d of %d texts were cut", 1, 2)',
        'line = f"{speed:.1f} samples/s"',
    ],
)
def test_the_check_sees_faults(line: str) -> None:
    assert len(faults(line)) == 1


def test_the_check_passes_rows() -> None:
    source = '"""Of %d examples."""\nlog.info("%d of %d rows were cut", 1, 2)'
    assert faults(source) == []
