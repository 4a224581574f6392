"""Archives of arrays (``.npz``) that open at once: stored, not packed, and mapped into memory.

A member's array begins at a multiple of 64 bytes: an extra field of its local header fills the
gap. ``np.load`` reads these files; files that NumPy wrote are read here, copied where they must be.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from plainbert import files
from plainbert.containers import npz_layout
from plainbert.containers.npz_layout import DEFLATED, STORED, Member
from plainbert.errors import DataError, FormatError, UsageError
from plainbert.visible import visible

ALIGN = 64
PADDING = 0xD935  # the extra field in which Android's zipalign keeps its padding
CHUNK = 1 << 24  # bytes read, checked or written at once


@dataclass(frozen=True)
class StoredArray:
    """An array whose bytes lie in a file, to be copied into an archive without being in memory.

    Attributes:
        path: file with nothing but the numbers, in C order, little-endian.
        dtype: of the numbers.
        shape: sizes whose product is the file's.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def header(self) -> dict[str, Any]:
        """What the archive says about the numbers."""
        descr = npy.dtype_to_descr(self.dtype)
        return {"descr": descr, "fortran_order": False, "shape": self.shape}

    def pieces(self) -> Iterator[bytes]:
        """The bytes, piece by piece.

        Raises:
            FormatError: the file has another size.
        """
        if (size := self.path.stat().st_size) != self.nbytes:
            raise FormatError(f"{self.path} has {size} bytes; {self.nbytes} are expected.")
        with self.path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece


def write(path: str | Path, arrays: Mapping[str, NDArray[Any] | StoredArray]) -> None:
    """Write an archive; equal arrays give equal bytes.

    Args:
        path: appears once it is complete and on disk.
        arrays: by name (letters, digits and underscores), in the order in which they shall lie.

    Raises:
        UsageError: a name or a type that cannot be stored.
    """
    with files.atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, values in arrays.items():
            array = values if isinstance(values, StoredArray) else np.asarray(values, order="C")
            if array.dtype.kind not in npz_layout.PLAIN or not re.fullmatch(r"\w+", name, re.A):
                raise UsageError(f"{name!r} of type {array.dtype} cannot be stored in {path}.")
            head = io.BytesIO()
            if isinstance(array, StoredArray):
                npy.write_array_header_1_0(head, array.header())
            else:
                array = array.astype(array.dtype.newbyteorder("<"), copy=False)
                npy.write_array_header_1_0(head, npy.header_data_from_array_1_0(array))
            info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: bytes depend on the arrays only
            huge = len(head.getvalue()) + array.nbytes >= zipfile.ZIP64_LIMIT
            before = file.tell() + npz_layout.LOCAL.size + len(info.filename) + 4 + 20 * huge
            info.extra = struct.pack("<HH", PADDING, -before % ALIGN) + bytes(-before % ALIGN)
            with archive.open(info, "w", force_zip64=huge) as member:
                assert file.tell() % ALIGN == 0, (name, file.tell())
                member.write(head.getvalue())
                for piece in array.pieces() if isinstance(array, StoredArray) else _cut(array):
                    member.write(piece)


def _cut(array: NDArray[Any]) -> Iterator[memoryview]:
    """The bytes of an array in C order, piece by piece."""
    flat = array.reshape(-1).view(np.uint8)
    for start in range(0, len(flat), CHUNK):
        yield flat[start : start + CHUNK].data


def read(path: str | Path) -> dict[str, NDArray[Any]]:
    """Open an archive: stored arrays are mapped, read-only, and not read yet.

    Args:
        path: a file of :func:`write`, ``np.savez`` or ``np.savez_compressed``.

    Returns:
        arrays by name. Packed members are copied into memory, with a warning.

    Raises:
        DataError: there is no such file.
        FormatError: it is damaged, or holds something else than plain arrays in C order.
    """
    return Archive(path).arrays()


def verify(path: str | Path) -> None:
    """Read all of an archive and compare its checksums.

    Raises:
        DataError: there is no such file.
        FormatError: it is damaged; the member is named.
    """
    Archive(path).verify()


class Archive:
    """The layout of an archive. The file is only open while something is read or mapped.

    Args:
        path: the file.
        objects: let arrays of Python objects pass; only their bytes can be had.

    Raises:
        DataError: there is no such file.
        FormatError: see :func:`read`.
    """

    def __init__(self, path: str | Path, objects: bool = False) -> None:
        self.path = Path(path)
        with self._open() as file:
            self.identity = _identity(file)
            self.size = self.identity[1]
            try:
                members = npz_layout.members(file, self.size, self.error, objects)
            except OSError as error:
                raise self.error(f"cannot be read ({error})") from None
        self.members = {member.name: member for member in members}
        # Packed arrays of numbers shrink to a tenth, all-equal ones to almost nothing.
        growth = sum(member.size for member in members if member.method != STORED)
        if growth > (256 << 20) + 64 * self.size:
            raise self.error(f"would unpack to {growth} bytes, more than arrays of tokens do")

    @property
    def fingerprint(self) -> str:
        """A hash of the names, sizes and checksums of the members, which are not read."""
        stated = [(member.name, member.size, member.checksum) for member in self.members.values()]
        return hashlib.sha256(repr(stated).encode()).hexdigest()[:16]

    def error(self, reason: str) -> FormatError:
        """An error that names the file."""
        return FormatError(
            f"{self.path} {reason}. It is damaged, or no archive of plain arrays: copy it or write "
            "it again."
        )

    def arrays(self, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
        """Map members by name (all without ``names``); those that are packed are unpacked.

        Raises:
            FormatError: the file is not the one that was opened first, or a packed member is
                damaged.
        """
        chosen = [self.members[name] for name in (self.members if names is None else names)]
        packed = [member.name for member in chosen if member.method != STORED]
        if packed:
            text = (
                f"{self.path} is packed: {', '.join(packed)} are copied into memory, where arrays "
                "that are not packed open at once."
            )
            warnings.warn(visible(text), stacklevel=3)
        arrays: dict[str, NDArray[Any]] = {}
        with self._open(again=True) as file:
            data = mmap.mmap(file.fileno(), self.size, access=mmap.ACCESS_READ)
            for member in chosen:
                buffer: Any = data
                start = member.start + member.head
                if member.method != STORED:
                    buffer, start = self._unpacked(file, member), member.head
                array: NDArray[Any] = np.ndarray(member.shape, member.dtype, buffer, start)
                array.flags.writeable = False
                arrays[member.name] = array
        return arrays

    def unpacked(self, name: str) -> memoryview:
        """The bytes of a member behind its header, copied and checked.

        Raises:
            FormatError: the member is damaged.
        """
        member = self.members[name]
        with self._open(again=True) as file:
            return memoryview(self._unpacked(file, member))[member.head :]

    def verify(self) -> None:
        """Read everything and compare checksums.

        Raises:
            FormatError: a member is damaged.
        """
        with self._open(again=True) as file:
            for member in self.members.values():
                for _ in self._pieces(file, member):
                    pass

    def _open(self, again: bool = False) -> IO[bytes]:
        try:
            file = self.path.open("rb")
        except (FileNotFoundError, IsADirectoryError):
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise DataError(f"{what}; the path of a .npz file is expected.", self.path) from None
        except OSError as error:
            raise self.error(f"cannot be opened ({error.strerror})") from None
        if again and _identity(file) != self.identity:
            file.close()
            raise self.error("was changed while it was in use")
        return file

    def _unpacked(self, file: IO[bytes], member: Member) -> bytearray:
        whole = bytearray()
        for piece in self._pieces(file, member):
            whole += piece
        return whole

    def _pieces(self, file: IO[bytes], member: Member) -> Iterator[bytes]:
        """The unpacked bytes of a member; length and checksum are compared behind the last."""
        # Read, not mapped: a disk that fails is an error here, and the end of the process there.
        left, checksum, size = member.packed, 0, 0
        inflate = zlib.decompressobj(-15) if member.method == DEFLATED else None
        try:
            file.seek(member.start)
            while left and size <= member.size:
                raw = file.read(min(left, CHUNK))
                left -= len(raw)
                if not raw:
                    raise self.error(f"ends within {member.name!r}")
                while raw and size <= member.size:
                    piece = inflate.decompress(raw, CHUNK) if inflate else raw
                    raw = inflate.unconsumed_tail if inflate else b""
                    size += len(piece)
                    checksum = zlib.crc32(piece, checksum)
                    yield piece
        except (OSError, zlib.error) as error:
            raise self.error(f"cannot be read within {member.name!r} ({error})") from None
        if size != member.size or checksum != member.checksum:
            raise self.error(f"has a wrong checksum or length in {member.name!r}")


def _identity(file: IO[bytes]) -> tuple[int, int, int]:
    """What tells one version of a file from another: inode, size, time of the last change."""
    state = os.fstat(file.fileno())
    return state.st_ino, state.st_size, state.st_mtime_ns
