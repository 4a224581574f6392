"""The words of the code: names say what a thing is, and every line of a docstring stands alone."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent

# They say where a value came from, not what it is; the last ones stand for a term of the field:
# offsets or positions, bucket lengths, binomial.
VAGUE = {"found", "each", "made", "told", "asked", "said", "given", "shown", "wanted"}
VAGUE |= {"places", "grid", "coins", "tosses"}
# What a reader who sees one line alone cannot follow.
FRAGMENT = re.compile(
    r"(the same\b|see (there|the|:)|likewise|as above)"
    r"|as (for|there|in|with) (the|that|those|it|there|:)"
    r"|(its|theirs|it|the model's|of the model|the file's|how|how many|to be \w+|used|given)[.;]"
)
ENTRY = re.compile(r"(\w+): (.*)")


def sources() -> list[Path]:
    paths = [path for name in ("plainbert", "scripts") for path in (HERE / name).rglob("*.py")]
    assert len(paths) > 100
    return sorted(paths)


@functools.cache
def trees() -> dict[Path, ast.AST]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sources()}


def vague_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Arguments and variables whose names say nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in VAGUE:
            yield node.lineno, node.arg


def fragments(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines of Args and Attributes that need their neighbours to be understood."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        section = ""
        for line in (ast.get_docstring(node) or "").splitlines():
            if re.fullmatch(r"[A-Z]\w+:", line):
                section = line
            entry = ENTRY.fullmatch(line.strip())
            if section in ("Args:", "Attributes:") and entry and FRAGMENT.match(entry[2]):
                yield node.lineno, line.strip()


@pytest.mark.parametrize("check", [vague_names, fragments])
def test_words(check: object) -> None:
    assert callable(check)
    faults = [
        f"{path.relative_to(HERE)}:{line}: {words}"
        for path, tree in trees().items()
        for line, words in check(tree)
    ]
    assert faults == []


def test_the_checks_see_faults() -> None:
    tree = ast.parse(
        "def f(given, rows):\n"
        '    """F.\n\n    Args:\n        given: the same.\n        rows: of texts; (N,).\n    """\n'
        "    found = [each for each in rows]\n"
        "    places = rows\n"
    )
    assert [name for _, name in vague_names(tree)] == ["given", "found", "places", "each"]
    assert [line for _, line in fragments(tree)] == ["given: the same."]
