"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from plainbert import text_files
from plainbert.errors import DataError, FormatError, UsageError

# What is not complete yet is named .NAME.plainbert.tmp, or .NAME.XXXXXXXX.plainbert.tmp. Nobody
# else names files so: what an interrupted write left is known as ours, and may be removed.
PARTIAL = ".plainbert.tmp"
NESTED = 50  # values within values in a JSON file; ours and others' have 8 at most

SURROGATE = re.compile("[\ud800-\udfff]")


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under ``path`` only once it is complete and on disk.

    Args:
        path: final name; an existing file is replaced in one step. Links are written through, and
            what is no file, such as a pipe or ``/dev/stdout``, is written to as it is.

    Yields:
        a writable binary file next to ``path``. If the body raises, it is removed and ``path`` is
        left as it was.
    """
    path = Path(path)
    if _is_device(path):
        with path.open("wb") as file:
            yield file
        return
    if path.is_symlink():  # the user's: what it points to is written
        path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = _new_file(path.parent, path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # a full disk does not say whose
        raise
    sync_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically; half a character (a lone surrogate) stands escaped."""
    with atomic_file(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically: two spaces, keys in the given order, a newline at the end."""
    write_text(path, json_text(value, indent=2) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON that every reader takes, and that UTF-8 can hold.

    JSON has no NaN and no infinity: null stands for them. A lone surrogate, which only a broken
    text holds and UTF-8 cannot, stands escaped, and comes back as it was.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
    if not text.isascii() and SURROGATE.search(text):
        text = SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text


def _finite(value: Any) -> Any:
    """A value with None in place of every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def read_json_value(path: str | Path) -> Any:
    """Read JSON of any kind.

    Raises:
        FormatError: the file is not JSON; the position is named.
    """
    try:
        value = json.loads(text_files.text_of(Path(path).read_bytes(), path))
    except DataError as error:
        raise FormatError(str(error)) from None
    except (ValueError, RecursionError) as error:  # also numbers of 5000 digits, lists of lists ...
        raise FormatError(f"{path} is not a JSON file: {error}.") from None
    level = [value]
    for _ in range(NESTED):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    if level:  # what could be read so might not be written again
        raise FormatError(f"{path} holds values within values, more than {NESTED} deep.")
    return value


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FormatError: the file is not JSON, or not an object; the position is named.
    """
    value = read_json_value(path)
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds a JSON {type(value).__name__}; an object is expected.")
    return value


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Create a folder that appears under ``path`` only once everything in it is on disk.

    Args:
        path: final name; must not exist.

    Yields:
        ``.NAME.plainbert.tmp`` beside it, empty. If the body raises, it is removed again.

    Raises:
        UsageError: ``path`` exists.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists. Choose a new folder, or remove it first.")
    partial = partial_folder(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for folder, _, names in os.walk(partial):
            for name in names:
                sync(Path(folder) / name)
            sync_folder(Path(folder))
        os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(path.parent)


def partial_folder(path: str | Path) -> Path:
    """Where :func:`new_folder` keeps a folder until it is complete."""
    path = Path(path)
    return path.with_name(f".{path.name}{PARTIAL}")


def share(path: str | Path) -> None:
    """Give a file the permissions that new files have here."""
    # A new file shows them: to ask for the process's mask means to change it for a moment, in
    # which other threads would make files that everybody may write to.
    path = Path(path)
    handle, other = _new_file(path.parent, path.name)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        other.unlink()
    with contextlib.suppress(PermissionError):  # disks without permissions have nothing to set
        os.chmod(path, mode)


def point(link: str | Path, target: str) -> None:
    """Make ``link`` a symlink to ``target`` (a name beside it), replacing an older one.

    On a disk without symlinks it becomes a file that holds the name; :func:`followed` knows it.
    """
    link = Path(link)
    partial = link.with_name(f".{link.name}{PARTIAL}")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    try:
        os.symlink(target, partial)
        os.replace(partial, link)
    except (OSError, NotImplementedError):  # each file system has its own number for "cannot"
        with contextlib.suppress(OSError):
            partial.unlink()
        write_text(partial, f"{target}\n")
        os.replace(partial, link)
    sync_folder(link.parent)


def target(path: str | Path) -> str | None:
    """What a link, or the file that stands for one, points to; None where it is neither."""
    path = Path(path)
    if path.is_symlink():
        return os.readlink(path)
    try:
        name = path.read_text("utf-8") if path.is_file() and path.stat().st_size < 256 else ""
    except (OSError, UnicodeDecodeError):
        return None
    # As the file holds a name and nothing else, and what it names is beside it, it is no text.
    name = name.removesuffix("\n")
    is_name = name == os.path.basename(name) and name not in ("", ".", "..", path.name)
    return name if is_name and "\0" not in name and path.with_name(name).is_dir() else None


def followed(path: str | Path) -> Path:
    """A path with the user's home for ``~``, behind files of :func:`point` that stand for links.

    Real links are left to the system.
    """
    path = Path(os.path.expanduser(path))
    for place in (path, *path.parents):
        if place.is_file() and (name := target(place)) is not None and not place.is_symlink():
            return place.with_name(name) / path.relative_to(place)
    return path


def remove_leftovers(folder: str | Path, names: str = r"[^.].*") -> list[Path]:
    """Delete what interrupted writes of ours left in a folder; nobody else's hidden files.

    Args:
        folder: is not searched deeper.
        names: regular expression of the names that the leftovers would have got.

    Returns:
        the paths that were removed.
    """
    form = re.compile(rf"\.(?:{names})(?:\.[a-z0-9_]{{8}})?{re.escape(PARTIAL)}")
    leftovers = [path for path in Path(folder).glob(f".*{PARTIAL}") if form.fullmatch(path.name)]
    for path in leftovers:
        remove(path)
    return leftovers


def remove(path: str | Path) -> None:
    """Delete a file, a link (not what it points to), or a folder with all that is in it.

    What is not there, and what cannot be deleted in a folder, is passed over.
    """
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_device(path: Path) -> bool:
    """Whether it is there, and neither a file nor a folder: nothing may take its place."""
    absolute = os.path.abspath(path)
    return os.path.exists(path) and (
        absolute.startswith(("/dev/", "/proc/")) or not (path.is_file() or path.is_dir())
    )


def _new_file(folder: Path, name: str) -> tuple[int, Path]:
    """Open a new file ``.NAME.XXXXXXXX.plainbert.tmp``, with the permissions of any new file."""
    while True:
        path = folder / f".{name}.{secrets.token_hex(4)}{PARTIAL}"
        with contextlib.suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            return os.open(path, flags, 0o666), path


def sync(path: Path) -> None:
    """Have what is in a file on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some disks do so by themselves
            raise
    finally:
        os.close(handle)
