"""What the index of a TensorFlow checkpoint says: its header and the entries of its tensors.

Source:
    tensorflow/core/protobuf/tensor_bundle.proto; tensorflow/core/framework/tensor_shape.proto
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from plainbert.containers.protobuf import fields
from plainbert.errors import FormatError
from plainbert.formats.tensorflow.slices import Slice

# DataType of tensorflow/core/framework/types.proto -> torch's name and bytes of one number.
TYPES = {
    1: ("float32", 4), 2: ("float64", 8), 3: ("int32", 4), 4: ("uint8", 1), 5: ("int16", 2),
    6: ("int8", 1), 8: ("complex64", 8), 9: ("int64", 8), 10: ("bool", 1), 14: ("bfloat16", 2),
    17: ("uint16", 2), 18: ("complex128", 16), 19: ("float16", 2), 22: ("uint32", 4),
    23: ("uint64", 8),
}  # fmt: skip
STRING = 7
MOST_SHARDS = 99999  # five digits in the name
MOST_VALUES = 2**48
MOST_DIMENSIONS = 254  # of a tensor in TensorFlow


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies.

    Attributes:
        dtype: a key of :data:`TYPES`, or another number of TensorFlow's.
        shape: sizes of its dimensions.
        shard: which data file.
        offset: its first byte there.
        size: bytes.
        checksum: masked CRC-32C of them.
        slices: the parts of a partitioned variable, each stored under a key of its own; then
            the tensor has no bytes itself.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    slices: tuple[Slice, ...] = ()


def shards_of(value: bytes | None) -> int:
    """The number of data files.

    Raises:
        FormatError: not the header of a bundle that can be read.
    """
    if value is None:
        raise FormatError("it has no header")
    shards, least = 0, 0
    for entry_field in fields(value):
        if entry_field.number == 1 and isinstance(entry_field.value, bytes):
            raise FormatError(
                "it is a checkpoint in the format of TensorFlow before 0.12 (V1). Write it anew "
                "with tf.compat.v1.train.Saver, whose format is V2"
            )
        if entry_field.number == 1:
            shards = entry_field.signed
        elif entry_field.number == 2 and entry_field.unsigned != 0:
            raise FormatError("its numbers are big-endian, which is not supported")
        elif entry_field.number == 3:
            least = next(
                (part.signed for part in fields(entry_field.message) if part.number == 2), 0
            )
    if not 1 <= shards <= MOST_SHARDS:
        raise FormatError(f"it claims {shards} data files; 1 to {MOST_SHARDS} are possible")
    if least > 1:
        raise FormatError(f"it needs a reader of version {least}; this one is of version 1")
    return shards


def entry_of(value: bytes, shards: int) -> Entry:
    """One tensor's entry, checked in itself.

    Raises:
        FormatError: a number in it cannot be right; the message names neither file nor tensor.
    """
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    slices = []
    for entry_field in fields(value):
        if entry_field.number == 2:
            shape = _shape(entry_field.message)
        elif entry_field.number == 7:
            slices.append(Slice.parse(entry_field.message))
        elif entry_field.number in numbers:
            numbers[entry_field.number] = entry_field.signed
    dtype, shard, offset, size, checksum = numbers.values()
    if not dtype:
        raise FormatError("it has no type")
    if not 0 <= shard < shards or offset < 0 or size < 0:
        raise FormatError(f"{size} bytes at byte {offset} of data file {shard} of {shards}")
    return Entry(dtype, shape, shard, offset, size, checksum, tuple(slices))


def check_apart(entries: Iterable[Entry]) -> None:
    """Refuse tensors that share bytes: few bytes could stand for any amount of memory.

    Raises:
        FormatError: two overlap; the message does not name the file.
    """
    behind = (0, 0)
    for entry in sorted(entries, key=lambda entry: (entry.shard, entry.offset)):
        if entry.size:
            if (entry.shard, entry.offset) < behind:
                raise FormatError(f"tensors overlap at byte {entry.offset} of the data")
            behind = (entry.shard, entry.offset + entry.size)


def _shape(message: bytes) -> tuple[int, ...]:
    """Sizes of a TensorShapeProto."""
    shape = []
    for dimension in fields(message):
        if dimension.number == 2:
            sizes = [part.signed for part in fields(dimension.message) if part.number == 1]
            shape.append(sizes[-1] if sizes else 0)
        elif dimension.number == 3 and dimension.unsigned:
            raise FormatError("its number of dimensions is not known")
    values = math.prod(max(size, 1) for size in shape)
    if len(shape) > MOST_DIMENSIONS or min(shape, default=0) < 0 or values > MOST_VALUES:
        raise FormatError(f"the shape {shape[:8]} is impossible")
    return tuple(shape)
