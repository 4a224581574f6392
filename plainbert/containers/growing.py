"""Files that grow block by block and survive a kill: results that do not fit into memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plainbert import files
from plainbert.errors import FormatError

STATE_FILE = "state.json"


class GrowingFiles:
    """Files of one folder that only count up to where they were last committed.

    Args:
        folder: made if it is not there. What was written behind the last commit is cut off.

    Attributes:
        state: what the last commit stored; empty before the first.

    Raises:
        FormatError: the state is damaged, or a file is shorter than it was when committed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        stored = files.read_json(folder / STATE_FILE) if (folder / STATE_FILE).exists() else {}
        self.state: dict[str, Any] = stored.get("state", {})
        self._sizes: dict[str, int] = stored.get("sizes", {})
        for name, size in self._sizes.items():
            path = folder / name
            if not path.exists() or path.stat().st_size < size:
                raise FormatError(
                    f"{path} is not what {STATE_FILE} beside it says. Remove {folder} and start "
                    "again."
                )
            os.truncate(path, size)
        for path in folder.iterdir():
            if path.is_file() and path.name not in self._sizes and path.suffix == ".part":
                path.unlink()

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self.folder / f"{name}.part"

    def add(self, parts: Mapping[str, bytes], state: dict[str, Any]) -> None:
        """Add to files, and commit: all of it is there after a power cut, or nothing.

        Args:
            parts: what is added to each file, by name.
            state: what :attr:`state` is to be, in words that JSON has.
        """
        sizes = dict(self._sizes)
        for name, data in parts.items():
            path = self.path(name)
            with path.open("r+b" if path.exists() else "wb") as file:
                file.seek(sizes.get(path.name, 0))
                file.write(data)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            sizes[path.name] = sizes.get(path.name, 0) + len(data)
        files.write_json(self.folder / STATE_FILE, {"state": state, "sizes": sizes})
        self._sizes, self.state = sizes, state

    def publish(self, name: str, path: Path) -> None:
        """Give a file its final name too, in one step; an older one is replaced."""
        # Renaming one of two names of a file to the other would do nothing.
        if path.exists() and os.path.samefile(path, self.path(name)):
            return
        new = path.with_name(f".{path.name}{files.PARTIAL}")
        files.remove(new)
        try:
            os.link(self.path(name), new)
        except OSError:  # a disk without hard links
            shutil.copyfile(self.path(name), new)
            files.sync(new)
        os.replace(new, path)
        files.sync_folder(path.parent)

    def remove(self) -> None:
        """Delete the folder: its name is gone in one step."""
        gone = self.folder.with_name(f"{self.folder.name}{files.PARTIAL}")
        files.remove(gone)
        os.rename(self.folder, gone)
        files.remove(gone)
