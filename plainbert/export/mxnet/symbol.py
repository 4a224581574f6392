"""MXNet's graphs (``NAME-symbol.json``), written without MXNet.

A graph is a list of nodes in which each comes after its inputs. Variables are nodes too: the inputs
of the model and its weights, whose values lie in a ``.params`` file under the same names.

Source:
    what ``Symbol.save`` of MXNet 1.9.1 writes.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NewType

VERSION = 10901  # of the MXNet whose operators are meant
VARIABLE = "null"
FLOAT32 = "0"

Node = NewType("Node", int)  # a number in the list of nodes; stands for the node's first output
Value = bool | int | float | str | tuple[int, ...]


class Symbol:
    """A graph that is being built."""

    def __init__(self) -> None:
        self._nodes: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._unnamed: Counter[str] = Counter()

    def variable(self, name: str) -> Node:
        """An input of the model, of any shape."""
        return self._add(VARIABLE, name, {}, ())

    def parameter(self, name: str, shape: tuple[int, ...]) -> Node:
        """A weight, float32."""
        return self._add(VARIABLE, name, {"__shape__": text(shape), "__dtype__": FLOAT32}, ())

    def op(self, kind: str, *inputs: Node, name: str = "", **attributes: Value) -> Node:
        """An operator.

        Args:
            kind: what MXNet calls it.
            inputs: in the operator's own order.
            name: of the node; made of the kind when not given.
            attributes: the operator's parameters.
        """
        if not name:
            stem = kind.lower().strip("_")
            name = f"{stem}{self._unnamed[stem]}"
            self._unnamed[stem] += 1
        return self._add(
            kind, name, {key: text(value) for key, value in attributes.items()}, inputs
        )

    def _add(
        self, kind: str, name: str, attributes: dict[str, str], inputs: tuple[Node, ...]
    ) -> Node:
        assert name not in self._names, f"two nodes are named {name}"
        self._names.add(name)
        node: dict[str, Any] = {"op": kind, "name": name}
        if attributes:
            node["attrs"] = attributes
        node["inputs"] = [[number, 0, 0] for number in inputs]  # node, output, version
        self._nodes.append(node)
        return Node(len(self._nodes) - 1)

    def to_json(self, output: Node) -> str:
        """The file's text, a node on each line.

        Args:
            output: what the model returns.
        """
        nodes = ",\n    ".join(json.dumps(node) for node in self._nodes)
        variables = [row for row, node in enumerate(self._nodes) if node["op"] == VARIABLE]
        return (
            f'{{\n  "nodes": [\n    {nodes}\n  ],\n  "arg_nodes": {json.dumps(variables)},\n'
            f'  "heads": [[{output}, 0, 0]],\n'
            f'  "attrs": {{"mxnet_version": ["int", {VERSION}]}}\n}}\n'
        )


def text(value: Value) -> str:
    """An attribute as MXNet reads it: every one is a string."""
    return value if isinstance(value, str) else repr(value)
