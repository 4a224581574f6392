"""Read the files of ``torch.save``, of any age, without running anything that is in them.

Two layouts: since torch 1.6 a zip archive of uncompressed members; before, pickles followed by the
raw storages. Either is mapped into memory, so that what is not used is never read, and every size
that a file states is held against the file before anything is made of it.

Source:
    torch/serialization.py (_save, _legacy_save); torch/_utils.py (_rebuild_tensor_v2).
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plainbert.containers.pickle_machine import StrangeError
from plainbert.containers.torch_pickle import (
    OLD_TENSOR,
    PARAMETER,
    TENSOR,
    Call,
    Name,
    Stored,
    unpickled,
)
from plainbert.errors import FormatError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the old layout
MOST_AXES = 8
ByteRanges = dict[str, tuple[int, int]]  # of each storage: first byte, length
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.uint8,  # a bool of 7 is no bool; weights they are neither way
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


class _Storage(NamedTuple):
    """A run of numbers in the file.

    Attributes:
        dtype: of the numbers.
        key: torch's name of the storage.
        numel: how many the pickle says there are.
        view: (first number, how many) of a part, in files from before torch 1.0.
    """

    dtype: torch.dtype
    key: str
    numel: int
    view: tuple[int, int] | None


def read_torch(path: Path) -> dict[str, Tensor]:
    """The named tensors of a torch file; views of the mapped file.

    Raises:
        FormatError: the file is truncated, garbled, or holds anything but named tensors.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        zipped = mapped[:4] == b"PK\x03\x04"
        named, byte_ranges = _zipped(path, mapped) if zipped else _legacy(path, mapped)
        memory = torch.frombuffer(mapped, dtype=torch.uint8)
        return {name: _tensor(call, memory, byte_ranges) for name, call in named.items()}
    except StrangeError as error:
        raise FormatError(
            f"{path} holds more than tensors ({error}), which could run code; it was not opened. "
            "Save the model's state dict alone, or as safetensors."
        ) from None
    except (ValueError, OSError, RuntimeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{path} cannot be read ({error}); it is truncated or not a file of torch.save. Copy "
            "or download it again."
        ) from None


def _zipped(path: Path, mapped: mmap.mmap) -> tuple[dict[str, Call], ByteRanges]:
    """The tensors of an archive, still to be made, and where each storage lies."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except Exception as error:  # zipfile lets through whatever its parts raise
        raise ValueError(f"{type(error).__name__}: {error}") from None
    members: dict[str, tuple[int, int]] = {}
    for info in infos:
        name = info.filename
        # torch never compresses: a few bytes that unpack to gigabytes are not from there.
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(f"its member {name!r} is compressed; torch stores them as they are")
        if info.flag_bits & 1 or name in members:
            raise ValueError(f"its member {name!r} is encrypted or there twice")
        members[name] = (_start(info, mapped), info.file_size)
    roots = [
        name.removesuffix("data.pkl")
        for name in members
        if name.count("/") == 1 and name.endswith("/data.pkl")
    ]
    if len(roots) != 1:
        raise ValueError("the archive has no data.pkl, or several")
    root = roots[0]
    start, length = members.get(f"{root}byteorder", (0, 0))
    if mapped[start : start + min(length, 8)] not in (b"", b"little"):
        raise ValueError("its numbers are stored big end first; save it anew on a usual machine")
    start, length = members[f"{root}data.pkl"]
    named = _named(path, unpickled(io.BytesIO(mapped[start : start + length])))
    prefix = f"{root}data/"
    byte_ranges = {
        name.removeprefix(prefix): place
        for name, place in members.items() if name.startswith(prefix)
    }  # fmt: skip
    return named, byte_ranges


def _start(info: zipfile.ZipInfo, mapped: mmap.mmap) -> int:
    """The first byte of a member's content."""
    here = info.header_offset
    if here < 0 or here + 30 > len(mapped) or mapped[here : here + 4] != b"PK\x03\x04":
        raise ValueError(f"its member {info.filename!r} does not begin where the archive says")
    name, extra = struct.unpack_from("<HH", mapped, here + 26)
    start = here + 30 + int(name) + int(extra)
    if start + info.file_size > len(mapped):
        raise ValueError(f"its member {info.filename!r} is longer than the file")
    return start


def _legacy(path: Path, mapped: mmap.mmap) -> tuple[dict[str, Call], ByteRanges]:
    """The tensors of an old file, still to be made, and where each storage lies."""
    file: Any = mapped  # it has read, readline and tell, and nothing is copied
    if unpickled(file) != MAGIC or unpickled(file) != PROTOCOL:
        raise ValueError("torch's magic number is missing")
    system = unpickled(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers are stored big end first; save it anew on a usual machine")
    named = _named(path, unpickled(file))
    keys = unpickled(file)
    used = [_storage(_plain(call)[0]) for call in named.values()]
    sizes = {storage.key: storage.dtype.itemsize for storage in used}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("the table of its storages is garbled")
    byte_ranges = {}
    here = mapped.tell()
    for key in keys:
        if here + 8 > len(mapped) or key not in sizes or key in byte_ranges:
            raise ValueError(f"the storage {key!r} is missing, there twice, or of no use")
        length = int(struct.unpack_from("<q", mapped, here)[0]) * sizes[key]
        here += 8
        if not 0 <= length <= len(mapped) - here:
            raise ValueError(f"the storage {key!r} is longer than the file")
        byte_ranges[key] = (here, length)
        here += length
    return named, byte_ranges


def _named(path: Path, value: Any) -> dict[str, Call]:
    """The pickle's value as a dict of tensors still to be made."""
    if not isinstance(value, dict):
        kind = "tensor" if isinstance(value, Call) else type(value).__name__
        raise FormatError(f"{path} holds a {kind}; named tensors are expected.")
    strange = [str(name)[:100] for name, call in value.items() if not isinstance(call, Call)]
    if strange or not all(isinstance(name, str) for name in value):
        more = f" and {len(strange) - 8} more" if len(strange) > 8 else ""
        raise FormatError(
            f"{path} holds entries that are no tensors: {', '.join(strange[:8])}{more}. Save the "
            "model's state dict alone."
        )
    return value


def _plain(call: Call) -> tuple[Any, ...]:
    """The arguments that make a tensor: storage, first number, size, stride."""
    if call.function == PARAMETER and call.arguments and isinstance(call.arguments[0], Call):
        call = call.arguments[0]
    if call.function not in (TENSOR, OLD_TENSOR) or len(call.arguments) < 4:
        raise ValueError("a tensor is described in an unknown way")
    if any(call.arguments[6:]):  # conjugate or negated when looked at
        raise ValueError("a tensor is described in an unknown way")
    return call.arguments[:4]


def _storage(value: Any) -> _Storage:
    description = value.description if isinstance(value, Stored) else ()
    match description:
        case ("storage", Name(_, kind), str(key), _, int(numel), *rest) if kind in DTYPES:
            pass
        case _:
            raise ValueError("a storage is described in an unknown way")
    view = None
    match rest:
        case [] | [None]:
            pass
        case [(_, int(first), int(count))]:
            view = (first, count)
        case _:
            raise ValueError("a part of a storage is described in an unknown way")
    return _Storage(DTYPES[kind], key, numel, view)


def _tensor(call: Call, memory: Tensor, byte_ranges: ByteRanges) -> Tensor:
    """Make one tensor.

    Args:
        call: torch's description.
        memory: the whole file; (bytes,).
        byte_ranges: first byte and length of each storage.

    Raises:
        ValueError: it reaches beyond its storage, or shows the same number twice.
    """
    described, first, size, stride = _plain(call)
    storage = _storage(described)
    size, stride = _whole(size), _whole(stride)
    (first,) = _whole((first,))
    start, length = byte_ranges.get(storage.key, (0, -1))
    if storage.numel < 0 or storage.numel * storage.dtype.itemsize > length:
        raise ValueError(f"the storage {storage.key!r} is shorter than its tensors need")
    low, high = 0, storage.numel
    if storage.view is not None:
        low, count = _whole(storage.view)
        if low + count > high:
            raise ValueError("a part of a storage reaches beyond it")
        high = low + count
    if len(size) != len(stride) or len(size) > MOST_AXES:
        raise ValueError(f"a tensor has {len(size)} axes and {len(stride)} strides")
    if 0 in size:
        if max(size) > len(memory):
            raise ValueError("a tensor is larger than the file")
        return torch.empty(size, dtype=storage.dtype)
    _check_dense(size, stride)
    last = low + first + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= high:
        raise ValueError("a tensor reaches beyond its storage")
    width = storage.dtype.itemsize
    begin = start + (low + first) * width
    raw = memory[begin : start + (last + 1) * width]
    if begin % width:  # old files do not align; processors may insist
        raw = raw.clone()
    stride = tuple(1 if n == 1 else step for n, step in zip(size, stride, strict=True))
    return raw.view(storage.dtype).as_strided(size, stride)


def _whole(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(n) is int and n >= 0 for n in values):
        raise ValueError("a size that is no whole number")
    return values


def _check_dense(size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    """Refuse a tensor that shows numbers several times: a small file would fill the memory."""
    axes = sorted((step, n) for n, step in zip(size, stride, strict=True) if n > 1)
    reach = 0
    for step, n in axes:
        if step <= reach:
            raise ValueError(f"a tensor of {math.prod(size)} numbers repeats those it has")
        reach += step * (n - 1)
