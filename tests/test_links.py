"""``plainbert.files``: links and files that stand for them, permissions, what is no file."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from plainbert import files


@pytest.fixture(params=["EPERM", "ENOTSUP", "ENOSYS", "none"])
def no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot hold symbolic links, or a system that has none."""

    def fails(*names: Any, **options: Any) -> NoReturn:
        if request.param == "none":
            raise NotImplementedError
        raise OSError(getattr(errno, request.param), "no links here")

    monkeypatch.setattr(os, "symlink", fails)


def test_a_file_stands_for_a_link(tmp_path: Path, no_links: None) -> None:
    for name in ("step-1", "step-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.txt").write_text(name)
    for name in ("step-1", "step-2"):
        files.point(tmp_path / "best", name)
        assert (tmp_path / "best").read_text() == f"{name}\n"
        assert files.target(tmp_path / "best") == name
        assert files.followed(tmp_path / "best") == tmp_path / name
        assert files.followed(tmp_path / "best" / "vocab.txt").read_text() == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "step-1", "step-2"]


def test_links_and_what_stands_for_them_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "step-1").mkdir()
    files.point(tmp_path / "best", "step-1")
    assert os.readlink(tmp_path / "best") == "step-1"
    with monkeypatch.context() as patch:
        patch.delattr(os, "symlink")
        patch.setattr(os, "symlink", lambda *names: os.open(tmp_path / "none" / "x", 0), False)
        files.point(tmp_path / "best", "step-1")
    assert not (tmp_path / "best").is_symlink()
    assert not list((tmp_path / "step-1").iterdir())
    files.point(tmp_path / "best", "step-1")
    assert (tmp_path / "best").is_symlink()
    assert files.followed(tmp_path / "best") == tmp_path / "best"


@pytest.mark.parametrize(
    "text", ["", "\n", "step-2", ".", "..", "step-1\nstep-1\n", "./step-1", "step-1\0", "\xff" * 9]
)
def test_other_files_stand_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "step-1").mkdir()
    (tmp_path / "best").write_bytes(text.encode("latin-1"))
    assert files.target(tmp_path / "best") is None
    assert files.followed(tmp_path / "best") == tmp_path / "best"


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.followed("~/run/best") == tmp_path / "run" / "best"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "vectors", tmp_path / "link"
    if there:
        target.write_text("old")
    link.symlink_to("disk/vectors")
    files.write_text(link, "new")
    assert (os.readlink(link), target.read_text()) == ("disk/vectors", "new")
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["vectors"]
    file = files.atomic_file(link)
    file.__enter__().write(b"half")
    assert not file.__exit__(RuntimeError, RuntimeError(), None)
    assert target.read_text() == "new"


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append((tmp_path / "pipe").read_text()))
    reader.start()
    files.write_text(tmp_path / "pipe", "hello")
    reader.join()
    assert lines == ["hello"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    files.write_text("/dev/null", "hello")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    line = "from plainbert import files; files.write_text('/dev/stdout', 'hello')"
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", line], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "hello"


@pytest.fixture(params=[0o022, 0o077, 0o002])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_permissions_are_those_of_new_files(
    tmp_path: Path, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "library").write_text("")
    (tmp_path / "library").chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setattr(os, "umask", None)  # to ask for it changes it, for all threads
        files.write_text(tmp_path / "ours", "")
        files.share(tmp_path / "library")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~mask}
    assert len(list(tmp_path.iterdir())) == 3
