"""The one reader of pickles: plain values come out as Python's own reader has them."""

from __future__ import annotations

import ast
import io
import pickle
from pathlib import Path

import pytest

from plainbert.containers.pickle_machine import COMMON, DICTS, PickleMachine, StrangeError

PACKAGE = Path(__file__).resolve().parent.parent.parent / "plainbert"


class Plain(PickleMachine):
    instructions = COMMON | DICTS


VALUES = [
    None, True, False, 0, -1, 255, 65_536, -(2**31), 2**40, -(2**70), 0.25, float("inf"), "",
    "Größe \U0001f600", (), (1,), (1, 2), (1, 2, 3), (1, (2, [3, {}]), 4, "x"), [], [1], {},
    list(range(3000)), {str(n): [n, (n,)] for n in range(1500)}, [["one"] * 3] * 3,
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values(protocol: int) -> None:
    for value in VALUES:
        assert Plain().run(pickle.dumps(value, protocol)) == value


def test_several_in_one_file() -> None:
    file = io.BytesIO(b"".join(pickle.dumps(value, 2) for value in VALUES))
    assert [Plain().run(file) for _ in VALUES] == VALUES
    assert file.read() == b""


def test_shared_values_stay_shared() -> None:
    inner = [1]
    one, two = Plain().run(pickle.dumps([inner, inner]))
    assert one is two


@pytest.mark.parametrize(
    "value", [len, Path("x"), {1, 2}, frozenset(), b"bytes", bytearray(b"x"), 1j, io.BytesIO()]
)
def test_everything_else_is_refused(value: object) -> None:
    with pytest.raises(StrangeError):
        Plain().run(pickle.dumps(value, 4))


@pytest.mark.parametrize("limit", ["most", "most_values", "most_marks"])
def test_limits(limit: str) -> None:
    data = pickle.dumps(tuple(range(2000)))
    machine = Plain()
    setattr(machine, limit, 0)
    with pytest.raises(ValueError, match="more than|values within values"):
        machine.run(data)


def test_no_other_module_reads_pickles() -> None:
    """``formats/pytorch/folder.py`` writes one."""
    readers = {"pickletools", "_pickle", "marshal", "shelve", "load", "loads", "Unpickler"}
    users = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        modules = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (getattr(node, "module", None), *(alias.name for alias in node.names))
        }
        attributes = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle"
        }
        if modules & {"pickle", "pickletools", "_pickle", "marshal", "shelve"}:
            users[path.relative_to(PACKAGE).as_posix()] = (modules | attributes) & readers
    assert users == {
        "containers/pickle_machine.py": {"pickletools"},
        "formats/pytorch/folder.py": set(),
    }
