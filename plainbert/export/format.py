"""What a format of exports does: it is required, written and opened, each by its own options."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, Self

from plainbert.export.names import FormatInfo
from plainbert.export.runner import Runner
from plainbert.export.source import Source


class Format(Protocol):
    """A format, and how to write it: each one is a frozen dataclass of its own options.

    Attributes:
        info: its name, files and runtime, as in :data:`plainbert.export.names.FORMATS`.
    """

    info: ClassVar[FormatInfo]

    @property
    def quantized(self) -> bool:
        """Whether an int8 model is written, and opened."""
        return False

    def variants(self) -> tuple[Self, ...]:
        """One for each model that is written, to open and check; the last is the main one."""
        return (self,)

    def require(self) -> None:
        """Make sure, before any work, that an export can be written and run here.

        Raises:
            UsageError: its runtime or its compiler is not there, or an option lacks another.
            MissingDependencyError: a package is not installed.
        """

    @property
    def checker(self) -> str:
        """What runs the files to check them, in words."""
        return self.info.runtime

    def write(self, source: Source, folder: Path) -> None:
        """Write the format's own files of a model.

        Args:
            source: the model.
            folder: it exists.

        Raises:
            UsageError: an option has no meaning, or there is no runtime.
            CheckpointError: the format has no place for the model, or its writer failed.
        """

    def open_runner(self, folder: Path, threads: int = 0) -> Runner:
        """Open the files in their own runtime, on the CPU.

        Args:
            folder: an export of this format.
            threads: number of threads of the runtime; its own choice when 0.

        Raises:
            UsageError: there is no runtime.
            MissingDependencyError: a package is not installed.
            CheckpointError: the folder holds no such export, or the runtime refuses it.
            FormatError: a file is damaged.
        """
