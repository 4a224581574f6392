"""TensorFlow's checkpoint files, written byte for byte as TensorFlow writes them.

Source:
    tensorflow/core/util/tensor_bundle/tensor_bundle.cc, BundleWriter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert import files
from plainbert.containers.crc32c import crc32c, masked
from plainbert.containers.protobuf import write_field
from plainbert.containers.sstable import write_table
from plainbert.errors import FormatError
from plainbert.formats.tensorflow.bundle import shard_name
from plainbert.formats.tensorflow.index import TYPES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

NUMBERS = {name: number for number, (name, _) in TYPES.items()}


def write_bundle(prefix: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write ``PREFIX.index`` and ``PREFIX.data-00000-of-00001``, as TensorFlow itself does.

    One tensor at a time is copied (if it is not contiguous), so a mapping that makes each when it
    is asked for needs no second copy of the model. Files of the same tensors are equal.

    Raises:
        FormatError: a tensor is of a type that the format has no number for.
    """
    prefix = Path(prefix)
    header = write_field(1, 1) + write_field(3, write_field(1, 1))
    table = {b"": header}
    offset = 0
    with files.atomic_file(prefix.with_name(f"{prefix.name}.{shard_name(0, 1)}")) as file:
        for name in sorted(tensors, key=str.encode):
            tensor = tensors[name].detach().cpu().contiguous()
            kind = str(tensor.dtype).removeprefix("torch.")
            if kind not in NUMBERS:
                raise FormatError(f"{name} is {kind}, which a TensorFlow checkpoint cannot hold.")
            raw = _bytes(tensor)
            file.write(raw.data)
            sizes = b"".join(write_field(2, _number(1, size)) for size in tensor.shape)
            table[name.encode()] = (
                write_field(1, NUMBERS[kind])
                + write_field(2, sizes)
                + _number(4, offset)
                + _number(5, len(raw))
                + write_field(6, masked(crc32c(raw)), fixed32=True)
            )
            offset += len(raw)
    with files.atomic_file(prefix.with_name(f"{prefix.name}.index")) as file:
        file.write(write_table(table))


def _number(number: int, value: int) -> bytes:
    """A numeric field, left out where it is 0, as protocol buffers do."""
    return write_field(number, value) if value else b""


def _bytes(tensor: Tensor) -> NDArray[np.uint8]:
    """The bytes of a contiguous tensor, without a copy."""
    import torch

    raw: NDArray[np.uint8] = tensor.reshape(-1).view(torch.uint8).numpy()
    return raw
