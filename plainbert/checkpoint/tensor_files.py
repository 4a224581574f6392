"""Write safetensors files one tensor at a time, so that a model is never in memory twice.

The bytes are those of ``safetensors.torch.save_file``, which wants every tensor contiguous before
it begins.

Source:
    https://github.com/huggingface/safetensors, "Format"; its serialize(), for the order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from plainbert import files

# Name in the file and place in the order: wider types first, then as the library lists them.
TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16",
}  # fmt: skip


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, which appears under its name only once it is complete.

    Args:
        path: the file.
        tensors: by name; floating point. They may be views of a mapped file, transposed, or on
            another device: each is made contiguous alone.
        metadata: strings for the header.
    """
    order = sorted(tensors, key=lambda name: (_rank(tensors[name]), name))
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name in order:
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.itemsize
        header[name] = {
            "dtype": TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with files.atomic_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            write_raw(file, tensors[name])


def write_raw(file: IO[bytes], tensor: Tensor) -> None:
    """Write a tensor's numbers, in order, little end first."""
    flat = tensor.detach().to("cpu").contiguous().flatten()
    if flat.numel():
        file.write(flat.view(torch.uint8).numpy().data)


def _rank(tensor: Tensor) -> int:
    return list(TYPES).index(tensor.dtype)
