"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from plainbert import text_files
from plainbert.errors import DataError, FormatError, UsageError

# What is not complete yet is named .NAME.plainbert.tmp, or .NAME.XXXXXXXX.plainbert.tmp. Nobody
# else names files so: what an interrupted write left is known as ours, and may be removed.
PARTIAL = ".plainbert.tmp"
NESTED = 50  # values within values in a JSON file; ours and others' have 8 at most

_SURROGATE = re.compile("[\ud800-\udfff]")


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under ``path`` only once it is complete and on disk.

    Args:
        path: final name; an existing file is replaced in one step.

    Yields:
        a writable binary file next to ``path``. If the body raises, it is removed and ``path`` is
        left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        share(name)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
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
    if not text.isascii() and _SURROGATE.search(text):
        text = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
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
                _sync(Path(folder) / name)
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
    os.chmod(path, 0o666 & ~_umask())


def point(link: str | Path, target: str) -> None:
    """Make ``link`` a symlink to ``target`` (relative to the link), replacing an older one."""
    link = Path(link)
    partial = link.with_name(f".{link.name}{PARTIAL}")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    partial.symlink_to(target)
    os.replace(partial, link)
    sync_folder(link.parent)


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
