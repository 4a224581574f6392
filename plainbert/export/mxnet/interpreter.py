"""MXNet's operators in NumPy, float64, one after the other: what an exported graph computes.

Written from the operators' documentation; of the exporter nothing is used, so that it can check a
graph where MXNet is not there.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from plainbert.errors import CheckpointError

Array = np.ndarray[Any, Any]
Attributes = Mapping[str, Any]


def run(graph: Mapping[str, Any], arrays: Mapping[str, Array]) -> Array:
    """The output of a graph.

    Args:
        graph: the content of a symbol file.
        arrays: inputs and weights by name.

    Raises:
        CheckpointError: it has an operator, or a use of one, that our exporter does not write.
    """
    values: list[Array] = []
    for node in graph["nodes"]:
        if node["op"] == "null":
            if node["name"] not in arrays:
                raise CheckpointError(f"the graph needs {node['name']!r}, which is not there.")
            values.append(np.asarray(arrays[node["name"]], np.float64))
            continue
        if node["op"] not in OPERATORS:
            raise CheckpointError(f"the operator {node['op']} of MXNet is not read here.")
        inputs = [values[row] for row, output, _ in node["inputs"] if output == 0]
        attributes = {key: _literal(value) for key, value in (node.get("attrs") or {}).items()}
        values.append(OPERATORS[node["op"]](*inputs, **attributes))
    ((output, _, _),) = graph["heads"]
    return values[output]


def _need(holds: bool, what: str) -> None:
    """Refuse a use of an operator that is not written here.

    Raises:
        CheckpointError: it does not hold.
    """
    if not holds:
        raise CheckpointError(f"{what}: this use of an operator of MXNet is not read here.")


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _reshape(x: Array, shape: Any, reverse: bool = False) -> Array:
    codes = [shape] if isinstance(shape, int) else list(shape)
    sizes = list(x.shape)
    if reverse:
        codes, sizes = codes[::-1], sizes[::-1]
    shape_now, at = [], 0
    for code in codes:
        _need(code >= -1 or code == -3, "reshape")
        if code == -3:
            shape_now.append(sizes[at] * sizes[at + 1])
            at += 2
        else:
            shape_now.append(sizes[at] if code == 0 else code)
            at += 1
    return x.reshape(shape_now[::-1] if reverse else shape_now)


def _dense(
    x: Array, weight: Array, bias: Array, num_hidden: int, no_bias: bool, flatten: bool
) -> Array:
    _need(weight.shape[0] == num_hidden, "dense")
    _need(not no_bias, "dense")
    return (x.reshape(len(x), -1) if flatten else x) @ weight.T + bias


def _normalise(x: Array, gamma: Array, beta: Array, axis: int, eps: float) -> Array:
    mean = x.mean(axis, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * gamma + beta


def _heads_of(joined: Array, heads: int, part: int) -> Array:
    """(L, B, N * 3 * H) -> (B * N, L, H) of the queries (0), keys (1) or values (2)."""
    longest, count, width = joined.shape
    dealt = joined.reshape(longest, count * heads, 3, width // heads // 3)
    return dealt[:, :, part].swapaxes(0, 1)


def _scores(joined: Array, heads: int) -> Array:
    queries, keys = _heads_of(joined, heads, 0), _heads_of(joined, heads, 1)
    return queries @ keys.swapaxes(1, 2) / np.sqrt(queries.shape[-1])


def _mixed(joined: Array, shares: Array, heads: int) -> Array:
    values = shares @ _heads_of(joined, heads, 2)  # (B * N, L, H)
    longest = joined.shape[0]
    return values.swapaxes(0, 1).reshape(longest, joined.shape[1], -1)


def _softmax(x: Array, length: Array, axis: int, use_length: bool) -> Array:
    _need((axis, use_length) == (-1, True), "softmax")
    _need(length.dtype == np.int32, "softmax")
    seen = np.arange(x.shape[-1]) < length[..., None]
    powers = np.exp(x - x.max(-1, keepdims=True)) * seen
    return powers / powers.sum(-1, keepdims=True)


def _sequence_mask(
    x: Array, length: Array, axis: int, use_sequence_length: bool, value: float = 0.0
) -> Array:
    _need((axis, use_sequence_length) == (0, True), "sequence_mask")
    seen = np.arange(len(x))[:, None] < length  # (L, B)
    return np.where(seen[..., None], x, value)


def _sequence_last(x: Array, length: Array, axis: int, use_sequence_length: bool) -> Array:
    _need((axis, use_sequence_length) == (0, True), "sequence_last")
    return x[length.astype(int) - 1, np.arange(x.shape[1])]


def _embedding(rows: Array, weight: Array, input_dim: int, output_dim: int, **_: Any) -> Array:
    _need(weight.shape == (input_dim, output_dim), "embedding")
    return weight[rows.astype(int).clip(0, input_dim - 1)]  # MXNet does not complain


def _slice_axis(x: Array, axis: int, begin: int, end: int) -> Array:
    return x[(slice(None),) * axis + (slice(begin, end),)]


def _part_of(x: Array, begin: tuple[int, ...], end: tuple[int, ...]) -> Array:
    return x[tuple(slice(*ends) for ends in zip(begin, end, strict=True))]


def _cast(x: Array, dtype: str) -> Array:
    return x.astype({"float32": "float64", "int32": "int32"}[dtype])


def _add(x: Array, y: Array) -> Array:
    _need(x.shape == y.shape, "add")
    return x + y


def _multiply(x: Array, y: Array) -> Array:
    _need(x.shape == y.shape, "multiply")
    return x * y


def _concatenated(*parts: Array, dim: int, num_args: int) -> Array:
    _need(len(parts) == num_args, "concatenated")
    return np.concatenate(parts, dim)


def _stacked(*parts: Array, axis: int, num_args: int) -> Array:
    _need(len(parts) == num_args, "stacked")
    return np.stack(parts, axis)


def _norm(x: Array, ord: int, axis: int, keepdims: bool) -> Array:
    return np.asarray(np.linalg.norm(x, ord, axis, keepdims))


def _error_function(x: Array) -> Array:
    return torch.erf(torch.from_numpy(np.ascontiguousarray(x))).numpy()


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "gelu": lambda x: x * 0.5 * (1 + _error_function(x / np.sqrt(2))),
}
OPERATORS: dict[str, Callable[..., Array]] = {
    "Activation": lambda x, act_type: ACTIVATIONS[act_type](x),
    "Cast": _cast,
    "Concat": _concatenated,
    "Dropout": lambda x, p, axes, cudnn_off=False: x,
    "Embedding": _embedding,
    "FullyConnected": _dense,
    "LayerNorm": _normalise,
    "LeakyReLU": lambda x, act_type: ACTIVATIONS[act_type](x),
    "Reshape": _reshape,
    "SequenceLast": _sequence_last,
    "SequenceMask": _sequence_mask,
    "_contrib_arange_like": lambda x, axis: np.arange(float(x.shape[axis])),
    "_contrib_interleaved_matmul_selfatt_qk": _scores,
    "_contrib_interleaved_matmul_selfatt_valatt": _mixed,
    "_maximum_scalar": lambda x, scalar: np.maximum(x, scalar),
    "_mul_scalar": lambda x, scalar: x * scalar,
    "_plus_scalar": lambda x, scalar: x + scalar,
    "broadcast_add": np.add,
    "broadcast_axis": lambda x, axis, size: np.repeat(x, size, axis),
    "broadcast_div": np.divide,
    "elemwise_add": _add,
    "elemwise_mul": _multiply,
    "expand_dims": lambda x, axis: np.expand_dims(x, axis),
    "max": lambda x, axis: x.max(axis),
    "norm": _norm,
    "slice": _part_of,
    "slice_axis": _slice_axis,
    "softmax": _softmax,
    "stack": _stacked,
    "sum": lambda x, axis: x.sum(axis),
    "tanh": np.tanh,
    "transpose": lambda x, axes: x.transpose(axes),
    "zeros_like": np.zeros_like,
}
