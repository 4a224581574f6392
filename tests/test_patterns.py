"""Globs whose files have names that look like globs."""

from __future__ import annotations

from pathlib import Path

import pytest

from plainbert.patterns import matching


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a[1].txt", "a1.txt", "b*.txt", "bc.txt", "run[2]/x.npz", "run[2]/y?.npz",
                 "run2/x.npz", "deep/er/z.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "right"),
    [
        ("a[1].txt", ["a[1].txt"]),
        ("b*.txt", ["b*.txt"]),
        ("a[12].txt", ["a1.txt"]),
        ("a*.txt", ["a1.txt", "a[1].txt"]),
        ("run[2]/*.npz", ["run[2]/x.npz", "run[2]/y?.npz"]),
        ("run[2]/y?.npz", ["run[2]/y?.npz"]),
        ("run*/x.npz", ["run2/x.npz", "run[2]/x.npz"]),
        ("run[23]/*.npz", ["run2/x.npz"]),
        ("**/z.txt", ["deep/er/z.txt"]),
        ("gone[1].txt", []),
    ],
)
def test_what_exists_by_that_name_is_itself(place: Path, pattern: str, right: list[str]) -> None:
    assert matching(pattern) == right
    assert matching(place / pattern) == [str(place / name) for name in right]


def test_home(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    assert matching("~/a[1].txt") == [str(place / "a[1].txt")]
