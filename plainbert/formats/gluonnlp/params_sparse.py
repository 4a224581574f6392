"""MXNet's two kinds of sparse arrays, made dense."""

from __future__ import annotations

import torch
from torch import Tensor

# Values are moved as whole numbers of their size: indexing then works for every type.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def dense_of(dims: tuple[int, ...], values: Tensor, indices: list[Tensor]) -> Tensor:
    """Put stored values where their indices say; the rest is zero.

    Args:
        dims: shape of the result; the caller made sure that it fits into memory.
        values: what is stored; (K, ...) whole rows of a row_sparse array, (K,) values of a csr one.
        indices: (K,) rows of a row_sparse array; (rows + 1,) starts and (K,) columns of a csr one.

    Raises:
        ValueError: they do not fit together.
    """
    dense = torch.zeros(dims, dtype=_BITS[values.dtype.itemsize])
    bits = values.view(dense.dtype)
    if len(indices) == 1:
        _rows(dense, bits, indices[0].long())
    else:
        _csr(dense, bits, indices[0].long(), indices[1].long())
    return dense.view(values.dtype)


def _rows(dense: Tensor, values: Tensor, rows: Tensor) -> None:
    if dense.dim() == 0 or values.shape != (len(rows), *dense.shape[1:]):
        raise ValueError(f"{tuple(values.shape)} of {tuple(dense.shape)} for {len(rows)} rows")
    _check(rows, dense.shape[0], "row")
    if bool((rows[1:] <= rows[:-1]).any()):
        raise ValueError("its rows are not ascending")
    dense[rows] = values


def _csr(dense: Tensor, values: Tensor, starts: Tensor, columns: Tensor) -> None:
    if dense.dim() != 2 or values.shape != columns.shape:
        raise ValueError(f"{tuple(values.shape)} values for {tuple(columns.shape)} columns")
    if len(starts) == 0 and len(columns) == 0:
        return
    if len(starts) != dense.shape[0] + 1 or starts[0] != 0 or starts[-1] != len(columns):
        raise ValueError("its row starts do not span its values")
    counts = starts.diff()
    if bool((counts < 0).any()):
        raise ValueError("its row starts are not ascending")
    _check(columns, dense.shape[1], "column")
    rows = torch.arange(dense.shape[0]).repeat_interleave(counts)
    dense[rows, columns] = values


def _check(index: Tensor, size: int, what: str) -> None:
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < size:
        raise ValueError(f"a {what} lies outside of 0 to {size - 1}")
