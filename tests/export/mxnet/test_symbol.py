"""The writer of MXNet's graphs: the shape of the JSON."""

from __future__ import annotations

import json

import pytest

from plainbert.export.mxnet.symbol import Symbol


def small() -> dict[str, object]:
    symbol = Symbol()
    data = symbol.variable("data0")
    weight = symbol.parameter("dense0_weight", (3, 4))
    bias = symbol.parameter("dense0_bias", (3,))
    dense = symbol.op(
        "FullyConnected", data, weight, bias, name="dense0_fwd", num_hidden=3, no_bias=False
    )
    first = symbol.op("_plus_scalar", dense, scalar=1e-12)
    second = symbol.op("_plus_scalar", first, scalar=1.0)
    loaded: dict[str, object] = json.loads(symbol.to_json(second))
    return loaded


def test_the_shape_of_the_file() -> None:
    assert small() == {
        "nodes": [
            {"op": "null", "name": "data0", "inputs": []},
            {
                "op": "null",
                "name": "dense0_weight",
                "attrs": {"__shape__": "(3, 4)", "__dtype__": "0"},
                "inputs": [],
            },
            {
                "op": "null",
                "name": "dense0_bias",
                "attrs": {"__shape__": "(3,)", "__dtype__": "0"},
                "inputs": [],
            },
            {
                "op": "FullyConnected",
                "name": "dense0_fwd",
                "attrs": {"num_hidden": "3", "no_bias": "False"},
                "inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0]],
            },
            {
                "op": "_plus_scalar",
                "name": "plus_scalar0",
                "attrs": {"scalar": "1e-12"},
                "inputs": [[3, 0, 0]],
            },
            {
                "op": "_plus_scalar",
                "name": "plus_scalar1",
                "attrs": {"scalar": "1.0"},
                "inputs": [[4, 0, 0]],
            },
        ],
        "arg_nodes": [0, 1, 2],
        "heads": [[5, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }


def test_names_are_given_once() -> None:
    symbol = Symbol()
    symbol.variable("data0")
    with pytest.raises(AssertionError, match="two nodes are named data0"):
        symbol.variable("data0")
