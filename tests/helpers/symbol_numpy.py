"""MXNet's operators in NumPy, float64, one after the other: what an exported graph computes.

Written from the operators' documentation; of the exporter nothing is used.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import erf

Array = np.ndarray[Any, Any]
Attributes = Mapping[str, Any]


def run(text: str, given: Mapping[str, Array]) -> Array:
    """The output of a graph.

    Args:
        text: the content of a symbol file.
        given: inputs and weights by name.
    """
    graph = json.loads(text)
    values: list[Array] = []
    for node in graph["nodes"]:
        if node["op"] == "null":
            values.append(np.asarray(given[node["name"]], np.float64))
            continue
        inputs = [values[row] for row, output, _ in node["inputs"] if output == 0]
        attributes = {key: literal(value) for key, value in (node.get("attrs") or {}).items()}
        values.append(OPERATORS[node["op"]](*inputs, **attributes))
    ((output, _, _),) = graph["heads"]
    return values[output]


def literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return value


def reshape(x: Array, shape: Any, reverse: bool = False) -> Array:
    codes = [shape] if isinstance(shape, int) else list(shape)
    sizes = list(x.shape)
    if reverse:
        codes, sizes = codes[::-1], sizes[::-1]
    wanted, at = [], 0
    for code in codes:
        assert code >= -1 or code == -3, code
        if code == -3:
            wanted.append(sizes[at] * sizes[at + 1])
            at += 2
        else:
            wanted.append(sizes[at] if code == 0 else code)
            at += 1
    return x.reshape(wanted[::-1] if reverse else wanted)


def dense(
    x: Array, weight: Array, bias: Array, num_hidden: int, no_bias: bool, flatten: bool
) -> Array:
    assert weight.shape[0] == num_hidden
    assert not no_bias
    return (x.reshape(len(x), -1) if flatten else x) @ weight.T + bias


def normalise(x: Array, gamma: Array, beta: Array, axis: int, eps: float) -> Array:
    mean = x.mean(axis, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * gamma + beta


def heads_of(joined: Array, heads: int, part: int) -> Array:
    """(L, B, N * 3 * H) -> (B * N, L, H) of the queries (0), keys (1) or values (2)."""
    longest, count, width = joined.shape
    dealt = joined.reshape(longest, count * heads, 3, width // heads // 3)
    return dealt[:, :, part].swapaxes(0, 1)


def scores(joined: Array, heads: int) -> Array:
    queries, keys = heads_of(joined, heads, 0), heads_of(joined, heads, 1)
    return queries @ keys.swapaxes(1, 2) / np.sqrt(queries.shape[-1])


def mixed(joined: Array, shares: Array, heads: int) -> Array:
    values = shares @ heads_of(joined, heads, 2)  # (B * N, L, H)
    longest = joined.shape[0]
    return values.swapaxes(0, 1).reshape(longest, joined.shape[1], -1)


def softmax(x: Array, length: Array, axis: int, use_length: bool) -> Array:
    assert (axis, use_length) == (-1, True)
    assert length.dtype == np.int32
    seen = np.arange(x.shape[-1]) < length[..., None]
    powers = np.exp(x - x.max(-1, keepdims=True)) * seen
    return powers / powers.sum(-1, keepdims=True)


def sequence_mask(
    x: Array, length: Array, axis: int, use_sequence_length: bool, value: float = 0.0
) -> Array:
    assert (axis, use_sequence_length) == (0, True)
    seen = np.arange(len(x))[:, None] < length  # (L, B)
    return np.where(seen[..., None], x, value)


def sequence_last(x: Array, length: Array, axis: int, use_sequence_length: bool) -> Array:
    assert (axis, use_sequence_length) == (0, True)
    return x[length.astype(int) - 1, np.arange(x.shape[1])]


def embedding(rows: Array, weight: Array, input_dim: int, output_dim: int, **_: Any) -> Array:
    assert weight.shape == (input_dim, output_dim)
    return weight[rows.astype(int).clip(0, input_dim - 1)]  # MXNet does not complain


def slice_axis(x: Array, axis: int, begin: int, end: int) -> Array:
    return x[(slice(None),) * axis + (slice(begin, end),)]


def part_of(x: Array, begin: tuple[int, ...], end: tuple[int, ...]) -> Array:
    return x[tuple(slice(*each) for each in zip(begin, end, strict=True))]


def cast(x: Array, dtype: str) -> Array:
    return x.astype({"float32": "float64", "int32": "int32"}[dtype])


def add(x: Array, y: Array) -> Array:
    assert x.shape == y.shape
    return x + y


def multiply(x: Array, y: Array) -> Array:
    assert x.shape == y.shape
    return x * y


def concatenated(*parts: Array, dim: int, num_args: int) -> Array:
    assert len(parts) == num_args
    return np.concatenate(parts, dim)


def stacked(*parts: Array, axis: int, num_args: int) -> Array:
    assert len(parts) == num_args
    return np.stack(parts, axis)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "gelu": lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))),
}
OPERATORS: dict[str, Callable[..., Array]] = {
    "Activation": lambda x, act_type: ACTIVATIONS[act_type](x),
    "Cast": cast,
    "Concat": concatenated,
    "Dropout": lambda x, p, axes, cudnn_off=False: x,
    "Embedding": embedding,
    "FullyConnected": dense,
    "LayerNorm": normalise,
    "LeakyReLU": lambda x, act_type: ACTIVATIONS[act_type](x),
    "Reshape": reshape,
    "SequenceLast": sequence_last,
    "SequenceMask": sequence_mask,
    "_contrib_arange_like": lambda x, axis: np.arange(float(x.shape[axis])),
    "_contrib_interleaved_matmul_selfatt_qk": scores,
    "_contrib_interleaved_matmul_selfatt_valatt": mixed,
    "_maximum_scalar": lambda x, scalar: np.maximum(x, scalar),
    "_mul_scalar": lambda x, scalar: x * scalar,
    "_plus_scalar": lambda x, scalar: x + scalar,
    "broadcast_add": np.add,
    "broadcast_axis": lambda x, axis, size: np.repeat(x, size, axis),
    "broadcast_div": np.divide,
    "elemwise_add": add,
    "elemwise_mul": multiply,
    "expand_dims": lambda x, axis: np.expand_dims(x, axis),
    "max": lambda x, axis: x.max(axis),
    "norm": lambda x, ord, axis, keepdims: np.linalg.norm(x, ord, axis, keepdims),
    "slice": part_of,
    "slice_axis": slice_axis,
    "softmax": softmax,
    "stack": stacked,
    "sum": lambda x, axis: x.sum(axis),
    "tanh": np.tanh,
    "transpose": lambda x, axes: x.transpose(axes),
    "zeros_like": np.zeros_like,
}
