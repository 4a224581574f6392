"""Folders, and sets of files, that take the place of older ones: a kill leaves the old or the new.

The new one is complete before the old one is touched. What then takes more than one step is
finished by the next start: what was on its way lies beside, under a name that says so.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from plainbert import files
from plainbert.errors import FormatError, UsageError

log = logging.getLogger(__name__)

COMMITTED = ".publishing"  # within a folder: a complete set of files on its way into it
_UNFINISHED = f"{COMMITTED}{files.PARTIAL}"  # a set that is being written
_JOURNAL = "plainbert-journal.json"  # in both: what to do, and the mark that they are ours


def check_replaceable(
    path: str | Path, marker: str, is_ours: Callable[[Path], bool] | None = None
) -> bool:
    """Whether there is a folder that :func:`replaced_folder` would replace.

    Args:
        path: final name.
        marker: name of a file that folders of this kind have.
        is_ours: whether a folder is of this kind; where not given, one that has the file is.

    Raises:
        UsageError: ``path`` is something else.
    """
    path = _with_name(path)
    finish_folder(path, marker)
    exists = path.exists() or path.is_symlink()
    if exists and (path.is_symlink() or not (path / marker).is_file()):
        raise UsageError(f"{path} exists and has no {marker}: it is not replaced. Choose another.")
    if exists and is_ours is not None and not is_ours(path):
        raise UsageError(
            f"{path} exists, and its {marker} is something else than ours: it is not replaced. "
            "Choose another."
        )
    return exists


@contextlib.contextmanager
def replaced_folder(
    path: str | Path, marker: str, is_ours: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """As :func:`plainbert.files.new_folder`, but an older folder of the same kind makes room.

    Args:
        path: final name.
        marker: name of a file that folders of this kind have.
        is_ours: whether a folder is of this kind; where not given, one that has the file is.

    Yields:
        a folder to write to; it appears as ``path`` once everything in it is on disk. If the body
        raises, ``path`` stays as it was.

    Raises:
        UsageError: ``path`` is something else.
    """
    path = _with_name(path)
    exists = check_replaceable(path, marker, is_ours)
    fresh, old = _beside(path)
    for rest in (fresh, old):  # of a kill before or after the exchange
        _discard(rest, marker)
        if rest.exists():
            raise UsageError(f"{rest} is in the way of a new {path.name}: move it away.")
    if not exists:
        with files.new_folder(path) as partial:
            yield partial
        return
    with files.new_folder(fresh) as partial:
        yield partial
    os.rename(path, old)
    finish_folder(path, marker)
    _discard(old, marker)


def finish_folder(path: str | Path, marker: str) -> bool:
    """Put a folder under its name that :func:`replaced_folder` was killed before it had.

    Args:
        path: final name.
        marker: name of a file that folders of this kind have.

    Returns:
        whether there was anything to do.
    """
    path = _with_name(path)
    if path.exists() or path.is_symlink():
        return False
    for whole in _beside(path):  # the new one; the old one where that is gone
        if not (whole / marker).is_file():
            continue
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            os.rename(whole, path)
            files.sync_folder(path.parent)
            return True
    return False


@contextlib.contextmanager
def published(folder: str | Path, names: Sequence[str]) -> Iterator[Path]:
    """Write files that appear in a folder together, in place of an older set.

    A kill leaves the old files or the new ones, or, for as long as some renames take, fewer of
    one of them, never both; then :func:`finish` brings the new ones.

    Args:
        folder: made where it does not exist; other files in it stay.
        names: patterns of the names, without folders, that files of a set have. New files come in
            this order, older ones go in the reverse: one of the last pattern tells that a set is
            whole.

    Yields:
        a folder to write the files to; others in it are gone afterwards. If the body raises, all
        are, and the older set stays.

    Raises:
        UsageError: a name is taken by a folder, or by something that is not ours.
    """
    folder = Path(folder)
    finish(folder)
    work = folder / _UNFINISHED
    _discard(work, _JOURNAL)
    for place in (work, folder / COMMITTED, *(folder / name for name in _named(folder, names))):
        if place.is_dir() and not place.is_symlink():
            raise UsageError(f"{place} is a folder that is in the way of new files: move it away.")
    work.mkdir(parents=True)
    try:
        (work / _JOURNAL).touch()
        yield work
        steps = {"removed": _named(folder, names)[::-1], "files": _named(work, names)}
        files.write_json(work / _JOURNAL, steps)
        os.rename(work, folder / COMMITTED)
    except BaseException:
        _discard(work, _JOURNAL)
        raise
    files.sync_folder(folder)
    finish(folder)


def finish(folder: str | Path) -> bool:
    """Bring files into a folder that :func:`published` was killed before it had.

    Several processes may do so at one time.

    Returns:
        whether there was anything to do.

    Raises:
        FormatError: the list of what to do is garbled.
        OSError: the folder cannot be written to.
    """
    folder = Path(folder)
    place = folder / COMMITTED
    try:
        file = (place / _JOURNAL).open("r+", encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        with contextlib.suppress(OSError):  # a kill may leave it empty
            place.rmdir()
        return False
    with file:
        _lock(file)
        if not _is_at(file, place / _JOURNAL):  # another process was quicker
            return False
        removed, names = _steps(file, place / _JOURNAL)
        waiting = [name for name in names if (place / name).exists()]
        for name in removed:
            if name in waiting or name not in names:
                (folder / name).unlink(missing_ok=True)
        for name in waiting:
            os.rename(place / name, folder / name)
        files.sync_folder(folder)
        _discard(place, _JOURNAL)
    return True


def _steps(file: IO[str], path: Path) -> tuple[list[str], list[str]]:
    """The names of files to remove, and of those to bring in."""
    try:
        values: Any = json.loads(file.read())
        steps = [[str(name) for name in values[key]] for key in ("removed", "files")]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path} does not say what to do: {repr(error)[:200]}. Move it away."
        ) from None
    for name in (*steps[0], *steps[1]):
        if not _is_name(name):
            raise FormatError(f"{path} names {name[:200]!r}, which is no file of its folder.")
    return steps[0], steps[1]


def _is_name(name: str) -> bool:
    """Whether a file of a folder can be called so."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size < 256 and name not in (".", "..") and "/" not in name and "\0" not in name


def _lock(file: IO[str]) -> None:
    """Wait until no other process has a file locked, where system and disk know locks."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX)


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file still has its name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _with_name(path: str | Path) -> Path:
    """A path that ends in a name, as ``.`` and ``..`` do not."""
    path = Path(path)
    return path.resolve() if path.name in ("", "..") else path


def _beside(path: Path) -> tuple[Path, Path]:
    """Where :func:`replaced_folder` keeps the complete new folder, and the old one."""
    return path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old{files.PARTIAL}")


def _named(folder: Path, patterns: Sequence[str]) -> list[str]:
    """Names of files that match, in the order of the patterns."""
    return [path.name for pattern in patterns for path in sorted(folder.glob(pattern))]


def _discard(folder: Path, marker: str) -> None:
    """Remove a folder that has a mark of ours, the mark last: a kill leaves what can be removed.

    What cannot be removed stays, without a word.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    with contextlib.suppress(OSError):
        if (folder / marker).is_file():
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != marker:
                    path.unlink()
            (folder / marker).unlink()
        folder.rmdir()  # an empty one is nobody's; one without the mark is not ours, and not empty
