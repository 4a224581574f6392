"""Every place of the project that deletes, and why it may: a new one is noticed."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
# Calls of these names delete, whatever they are called on; those below, only of some modules.
NAMES = {"rmtree", "unlink", "rmdir", "removedirs", "remove_leftovers"}
OF = {"remove": {"os", "files", "earlier"}, "truncate": {"os"}, "ftruncate": {"os"}}
OWNERS = set().union(*OF.values())

OWN = "what this very call has written, and could not finish"
ALLOWED = {
    ("plainbert/tasks/squad/cache.py", "_try_save", "unlink"): "a cache that could not be written",
    (
        "plainbert/recipes/shared/output_dir.py",
        "Claim.end",
        "remove",
    ): "a run that another has replaced",
    (
        "plainbert/recipes/shared/output_dir.py",
        "claim",
        "remove",
    ): "a run that another has replaced",
    ("plainbert/recipes/shared/lock.py", "Lock.release", "unlink"): "the lock, by who holds it",
    ("plainbert/recipes/shared/lock.py", "Lock.take", "ftruncate"): "who held the lock before",
    (
        "plainbert/recipes/shared/lock.py",
        "Lock.take",
        "unlink",
    ): "the file of a lock that could not be had",
    ("plainbert/files.py", "atomic_file", "unlink"): OWN,
    ("plainbert/files.py", "new_folder", "rmtree"): f"{OWN}; or an earlier call, with our mark",
    ("plainbert/files.py", "share", "unlink"): "an empty file that this very call has made",
    ("plainbert/files.py", "point", "unlink"): "an earlier call's leftover, with our mark",
    ("plainbert/files.py", "remove", "rmtree"): "asked for by callers, which are listed here",
    ("plainbert/files.py", "remove", "unlink"): "asked for by callers, which are listed here",
    ("plainbert/folders.py", "_discard", "rmtree"): "a folder of ours that another has replaced",
    ("plainbert/folders.py", "_discard", "rmdir"): "a folder of ours that another has replaced",
    ("plainbert/folders.py", "_discard", "unlink"): "its mark, which goes last",
    ("plainbert/folders.py", "finish", "rmdir"): "the empty folder that a set came from",
    ("plainbert/folders.py", "finish", "unlink"): "older files of a set that is replaced",
    (
        "plainbert/containers/growing.py",
        "GrowingFiles.__init__",
        "truncate",
    ): "what was not committed, in a folder of ours",
    (
        "plainbert/containers/growing.py",
        "GrowingFiles.__init__",
        "unlink",
    ): "what was not committed, in a folder of ours",
    (
        "plainbert/containers/growing.py",
        "GrowingFiles.publish",
        "remove",
    ): "an earlier call's leftover, with our mark",
    (
        "plainbert/containers/growing.py",
        "GrowingFiles.remove",
        "remove",
    ): "work whose result is whole, or that --overwrite has begun anew",
    (
        "plainbert/recipes/shared/blocks.py",
        "_tidy",
        "remove_leftovers",
    ): "of an output, by our mark",
    (
        "plainbert/finetuning/data_files.py",
        "Place.take_back",
        "unlink",
    ): "files that this very call has written",
    ("plainbert/finetuning/data_files.py", "Place.take_back", "rmdir"): "empty",
    ("plainbert/hub/answer.py", "OfferedFile.check", "unlink"): "a download that came damaged",
    ("plainbert/train/earlier.py", "put_back", "remove"): "a run's that has no checkpoint",
    ("plainbert/train/earlier.py", "put_back", "rmdir"): "empty",
    ("plainbert/train/earlier.py", "remove", "remove"): "a run that another has replaced",
    ("plainbert/train/run_folder.py", "remove_checkpoint", "remove"): "more than are kept",
    ("plainbert/train/run_folder.py", "remove_leftovers", "remove"): "by exact names, of a run",
    ("plainbert/train/run_folder.py", "remove_leftovers", "remove_leftovers"): "by our mark",
    ("plainbert/train/checkpoints.py", "Checkpoints._publish", "remove"): "a run now replaced",
    (
        "plainbert/train/checkpoints.py",
        "Checkpoints.tidy",
        "remove",
    ): "a run that another has replaced",
    ("plainbert/train/checkpoints.py", "Checkpoints.tidy", "remove_leftovers"): "after all checks",
}


def deletions(source: str) -> Iterator[tuple[str, str]]:
    """(function, call) of every call in a module that deletes something on disk."""

    def walk(node: ast.AST, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            place = (*place, node.name)
        if isinstance(node, ast.Call):
            name, owner = "", ""
            if isinstance(node.func, ast.Attribute):
                name, owner = node.func.attr, ast.unparse(node.func.value)
            elif isinstance(node.func, ast.Name):
                name = node.func.id
            if name in NAMES or owner in OF.get(name, ()):
                yield ".".join(place), name
        for child in ast.iter_child_nodes(node):
            yield from walk(child, place)

    tree = ast.parse(source)
    for node in ast.walk(tree):  # imported bare, those of OF could not be told from others
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[-1] in OWNERS:
            bare = {alias.name for alias in node.names} & set(OF)
            assert not bare, f"import the module, not {bare}"
    yield from walk(tree, ())


def test_every_deletion_has_its_reason() -> None:
    places = {
        (str(path.relative_to(HERE)), *found)
        for folder in ("plainbert", "scripts")
        for path in sorted((HERE / folder).rglob("*.py"))
        for found in deletions(path.read_text("utf-8"))
    }
    assert places - ALLOWED.keys() == set(), "say in ALLOWED why this may be deleted"
    assert ALLOWED.keys() - places == set(), "these are gone: take them out of ALLOWED"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import shutil\ndef f(x):\n    shutil.rmtree(x)", {("f", "rmtree"): 1}),
        ("class A:\n    def f(self):\n        (a / 'b').unlink()", {("A.f", "unlink"): 1}),
        ("import os\nos.remove('x')\nos.rmdir('y')", {("", "remove"): 1, ("", "rmdir"): 1}),
        ("def f(items):\n    items.remove(1)\n    self.mixed.remove()", {}),
    ],
)
def test_the_search_sees_them(source: str, count: dict[tuple[str, str], int]) -> None:
    assert Counter(deletions(source)) == count


@pytest.mark.parametrize(
    "line", ["from os import path, remove", "from plainbert.files import remove"]
)
def test_bare_imports_would_hide(line: str) -> None:
    with pytest.raises(AssertionError, match="import the module"):
        list(deletions(line))
