"""TensorFlow's checkpoint files (tensor bundle, "V2"), read without TensorFlow.

``PREFIX.index`` is a sorted table: the empty key holds a header, every other key the entry of one
tensor: type, shape, and where its bytes lie in ``PREFIX.data-00000-of-00001`` and so on.

Source:
    tensorflow/core/protobuf/tensor_bundle.proto; tensorflow/core/util/tensor_bundle/
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert.containers.crc32c import crc32c, masked
from plainbert.containers.sstable import MAGIC, read_table
from plainbert.errors import CheckpointError, FormatError
from plainbert.formats.tensorflow.index import (
    STRING,
    TYPES,
    Entry,
    check_apart,
    entry_of,
    shards_of,
)
from plainbert.formats.tensorflow.slices import axis_of, slice_key

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bundle:
    """An open checkpoint; the data files are mapped when a tensor of theirs is asked for.

    Attributes:
        prefix: what the names of its files begin with.
        entries: the tensors by name.
    """

    prefix: Path
    entries: Mapping[str, Entry]
    _parts: Mapping[bytes, Entry]
    _shards: int
    _maps: dict[int, mmap.mmap | bytes] = field(default_factory=dict)

    @classmethod
    def open(cls, prefix: str | Path) -> Bundle:
        """Read ``PREFIX.index``.

        Raises:
            CheckpointError: there is no such file.
            FormatError: it is garbled, or of a kind that cannot be read.
        """
        prefix = Path(prefix)
        path = prefix.with_name(prefix.name + ".index")
        table = _table(path)
        entries, parts = {}, {}
        place = "its header"
        try:
            shards = shards_of(table.pop(b"", None))
            for key, value in table.items():
                place = repr(key[:200])
                if key.startswith(b"\0"):
                    parts[key] = entry_of(value, shards)
                else:
                    entries[key.decode("utf-8")] = entry_of(value, shards)
            place = "its tensors"
            check_apart([*entries.values(), *parts.values()])
        except (FormatError, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: {place}: {error}.") from None
        return cls(prefix, entries, parts, shards)

    def tensor(self, name: str, verify: bool = True) -> Tensor:
        """One tensor: a view of the mapped file; a partitioned variable is put together.

        Args:
            name: a key of ``entries``.
            verify: whether to compare its checksum, which reads its bytes.

        Raises:
            CheckpointError: a data file is missing.
            FormatError: it lies outside the data file, its size does not fit its shape, its
                checksum does not match, or it is of a type that cannot be read.
        """
        import torch

        entry = self.entries[name]
        if not entry.slices:
            return self._whole(name, entry, verify)
        parts = []
        axis, ordered = axis_of(name, entry.shape, entry.slices)
        for part in ordered:
            stored_part = self._parts.get(slice_key(name, part))
            if stored_part is None or stored_part.dtype != entry.dtype or stored_part.slices:
                raise FormatError(f"{self.prefix}.index: a part of {name} is missing or garbled.")
            if stored_part.shape != part.shape(entry.shape):
                raise FormatError(f"{self.prefix}.index: a part of {name} has a wrong shape.")
            parts.append(self._whole(name, stored_part, verify))
        return torch.cat(parts, axis)

    def _whole(self, name: str, entry: Entry, verify: bool) -> Tensor:
        """A tensor whose bytes lie together."""
        import torch

        path = self._path(entry.shard)
        data = self._map(entry.shard)
        if entry.dtype not in TYPES:
            kind = "strings" if entry.dtype == STRING else f"values of TensorFlow's {entry.dtype}"
            raise FormatError(f"{self.prefix}.index: {name} holds {kind}; numbers are expected.")
        dtype, width = TYPES[entry.dtype]
        if entry.size != math.prod(entry.shape) * width:
            raise FormatError(
                f"{self.prefix}.index: {name} has {entry.size} bytes, which is not what "
                f"{list(entry.shape)} {dtype} values take."
            )
        end = entry.offset + entry.size
        if end > len(data):
            raise FormatError(
                f"{path} has {len(data)} bytes, but {name} ends at byte {end}: it is truncated. "
                "Copy or download it again."
            )
        raw = memoryview(data)[entry.offset : end]
        if verify and masked(crc32c(raw)) != entry.checksum:
            raise FormatError(
                f"{path}: the checksum of {name} does not match its bytes; they were changed. "
                "Copy or download it again."
            )
        kind = getattr(torch, dtype)
        if not entry.size:
            return torch.empty(entry.shape, dtype=kind)
        if entry.offset % width:  # vectors of such numbers could not be loaded from there
            raw = memoryview(bytearray(raw))
        return torch.frombuffer(raw, dtype=kind).view(entry.shape)

    def _path(self, shard: int) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}.{shard_name(shard, self._shards)}")

    def _map(self, shard: int) -> mmap.mmap | bytes:
        """A data file, mapped."""
        if shard not in self._maps:
            path = self._path(shard)
            if not path.is_file():
                raise CheckpointError(
                    f"{path} is missing: the data file {shard + 1} of {self._shards} that "
                    f"{self.prefix.name}.index speaks of. Put it beside the index."
                )
            self._maps[shard] = _mapped(path)
        return self._maps[shard]


def shard_name(shard: int, shards: int) -> str:
    """The end of a data file's name.

    >>> shard_name(0, 1)
    'data-00000-of-00001'
    """
    return f"data-{shard:05}-of-{shards:05}"


def is_table(path: Path) -> bool:
    """Whether a file ends like a table, as an index does and a checkpoint of before 2017."""
    try:
        with path.open("rb") as file:
            file.seek(-len(MAGIC), 2)
            return file.read() == MAGIC
    except OSError:
        return False


def _mapped(path: Path) -> mmap.mmap | bytes:
    """The bytes of a file, which stays as it is when they are written to."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _table(path: Path) -> dict[bytes, bytes]:
    """The index file's keys and values."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; the index of a checkpoint is expected.")
    try:
        return read_table(memoryview(_mapped(path)))
    except FormatError as error:
        raise FormatError(
            f"{path} is not the index of a TensorFlow checkpoint: {error}. Copy or download it "
            "again."
        ) from None
