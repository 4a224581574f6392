"""BERT as a graph of MXNet's operators, with GluonNLP's names of the weights.

It is the graph that GluonNLP's own models make, sequence first. Hidden vectors behind the end of a
sequence are zeros, as there.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`.

Source:
    dmlc/gluon-nlp v0.10, src/gluonnlp/model/bert.py, BERTEncoder and BERTModel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from plainbert.export.mxnet.symbol import Node, Symbol, Value
from plainbert.nn.bert import Bert, Layer, Residual, SelfAttention

# The prefixes that gluon gives to the first models of a process.
ENCODER, MODEL = "bertencoder0_", "bertmodel0_"
PARTS = ("query", "key", "value")
JOINED = "interleaved"  # what the weights of all three in one are called


class Graph:
    """The encoder's part of a graph.

    Args:
        body: whose weights it takes.
        dropout: share that Dropout nodes drop in training mode; 0 leaves them out.
        fused: store queries, keys and values in one matrix, in place of joining them in the graph.

    Attributes:
        arrays: the weights so far, by their names in the graph.
    """

    def __init__(self, body: Bert, dropout: float, fused: bool) -> None:
        self.body, self.dropout, self.fused = body, dropout, fused
        self.symbol = Symbol()
        self.arrays: dict[str, Tensor] = {}

    def op(self, kind: str, *inputs: Node, name: str = "", **attributes: Value) -> Node:
        """See :meth:`Symbol.op`."""
        return self.symbol.op(kind, *inputs, name=name, **attributes)

    def weight(self, name: str, tensor: Tensor) -> Node:
        """A weight of the model."""
        self.arrays[name] = tensor.detach()
        return self.symbol.parameter(name, tuple(tensor.shape))

    def dense(self, x: Node, name: str, layer: nn.Linear) -> Node:
        """A linear map of the last axis."""
        weights = (
            self.weight(f"{name}_weight", layer.weight),
            self.weight(f"{name}_bias", layer.bias),
        )
        return self.op(
            "FullyConnected",
            x,
            *weights,
            name=f"{name}_fwd",
            num_hidden=layer.out_features,
            no_bias=False,
            flatten=False,
        )

    def norm(self, x: Node, name: str, layer: nn.LayerNorm) -> Node:
        """Layer norm over the last axis."""
        weights = (
            self.weight(f"{name}_gamma", layer.weight),
            self.weight(f"{name}_beta", layer.bias),
        )
        return self.op("LayerNorm", x, *weights, name=f"{name}_fwd", axis=-1, eps=layer.eps)

    def drop(self, x: Node) -> Node:
        """Dropout, if there is to be any; it is active while training only."""
        if not self.dropout:
            return x
        return self.op("Dropout", x, p=self.dropout, axes=())

    def embeddings(self, ids: Node, types: Node) -> Node:
        """Ids and types (B, L) -> (L, B, D)."""
        part = self.body.embeddings
        words = self._embedding(ids, f"{MODEL}word_embed_embedding0_weight", part.word_embeddings)
        kinds = self._embedding(
            types, f"{MODEL}token_type_embed_embedding0_weight", part.token_type_embeddings
        )
        total = self.op("transpose", self.op("elemwise_add", words, kinds), axes=(1, 0, 2))
        positions = self._embedding(
            self.op("_contrib_arange_like", total, axis=0),  # (L,)
            f"{ENCODER}position_weight",
            part.position_embeddings,
        )
        total = self.op("broadcast_add", total, self.op("expand_dims", positions, axis=1))
        return self.norm(self.drop(total), f"{ENCODER}layernorm0", part.LayerNorm)

    def _embedding(self, rows: Node, name: str, table: nn.Embedding) -> Node:
        return self.op(
            "Embedding",
            rows,
            self.weight(name, table.weight),
            input_dim=table.num_embeddings,
            output_dim=table.embedding_dim,
        )

    def seen(self, lengths: Node, hidden: Node) -> Node:
        """How many keys each query of each head may see.

        Args:
            lengths: (B,), float.
            hidden: (L, B, D)

        Returns:
            (B * N, L), int32.
        """
        heads = self.body.config.num_attention_heads
        zeros = self.op("zeros_like", self.op("_contrib_arange_like", hidden, axis=0))  # (L,)
        every = self.op(
            "broadcast_add",
            self.op("Reshape", lengths, shape=(-1, 1)),
            self.op("Reshape", zeros, shape=(1, -1)),
        )  # (B, L)
        every = self.op("expand_dims", self.op("Cast", every, dtype="int32"), axis=1)
        every = self.op("broadcast_axis", every, axis=1, size=heads)  # (B, N, L)
        return self.op("Reshape", every, shape=(-1, 0), reverse=True)

    def layer(self, hidden: Node, number: int, seen: Node) -> Node:
        """An encoder layer: (L, B, D) -> (L, B, D)."""
        part = cast(Layer, self.body.encoder.layer[number])
        name = f"{ENCODER}transformer{number}_"
        ffn = f"{name}positionwiseffn0_"
        mixed = self._attention(
            hidden, f"{name}dotproductselfattentioncell0_", part.attention.self, seen
        )
        mixed = self._residual(
            mixed, hidden, f"{name}proj", f"{name}layernorm0", part.attention.output
        )
        wide = self._activation(self.dense(mixed, f"{ffn}ffn_1", part.intermediate.dense))
        return self._residual(wide, mixed, f"{ffn}ffn_2", f"{ffn}layernorm0", part.output)

    def _residual(self, x: Node, before: Node, dense: str, norm: str, part: Residual) -> Node:
        y = self.drop(self.dense(x, dense, part.dense))
        return self.norm(self.op("elemwise_add", y, before), norm, part.LayerNorm)

    def _attention(self, hidden: Node, name: str, part: SelfAttention, seen: Node) -> Node:
        heads, width = part.heads
        layers = (part.query, part.key, part.value)
        join: Callable[[str, int, str, Sequence[Tensor]], Node]
        join = self._stored_joined if self.fused else self._joined
        joined = self.op(
            "FullyConnected",
            hidden,
            join(name, heads, "weight", [layer.weight for layer in layers]),
            join(name, heads, "bias", [layer.bias for layer in layers]),
            name=f"{name}fwd",
            num_hidden=3 * heads * width,
            no_bias=False,
            flatten=False,
        )  # (L, B, N * 3 * H)
        # The operator divides by the square root of H itself.
        scores = self.op("_contrib_interleaved_matmul_selfatt_qk", joined, heads=heads)
        shares = self.op("softmax", scores, seen, axis=-1, use_length=True)  # (B * N, L, L)
        return self.op(
            "_contrib_interleaved_matmul_selfatt_valatt", joined, self.drop(shares), heads=heads
        )

    def _stored_joined(self, name: str, heads: int, kind: str, parts: Sequence[Tensor]) -> Node:
        return self.weight(f"{name}{JOINED}_{kind}", interleaved(parts, heads))

    def _joined(self, name: str, heads: int, kind: str, parts: Sequence[Tensor]) -> Node:
        """What :func:`interleaved` does, as part of the graph."""
        nodes = [
            self.weight(f"{name}{part}_{kind}", tensor)
            for part, tensor in zip(PARTS, parts, strict=True)
        ]
        if kind == "bias":
            rows = [self.op("Reshape", node, shape=(heads, -1)) for node in nodes]
            return self.op("Reshape", self.op("stack", *rows, axis=1, num_args=3), shape=(-1,))
        rows = [self.op("Reshape", node, shape=(heads, -1, 0), reverse=True) for node in nodes]
        whole = self.op("Concat", *rows, dim=1, num_args=3)  # (N, 3 * H, D)
        return self.op("Reshape", whole, shape=(-1, 0), reverse=True)

    def _activation(self, x: Node) -> Node:
        kind = self.body.config.hidden_act
        if kind == "relu":
            return self.op("Activation", x, act_type="relu")
        if kind == "gelu":
            return self.op("LeakyReLU", x, act_type="gelu")
        # x / 2 * (1 + tanh(sqrt(2 / pi) * x * (1 + 0.044715 * x ** 2)))
        # No "square": MXNet 1.9.1's oneDNN backend may merge it with the linear map before it, and
        # then now and then hands squares to the other readers of the map, too.
        inner = self.op("_mul_scalar", self.op("elemwise_mul", x, x), scalar=0.044715)
        inner = self.op("elemwise_mul", x, self.op("_plus_scalar", inner, scalar=1.0))
        inner = self.op("tanh", self.op("_mul_scalar", inner, scalar=math.sqrt(2 / math.pi)))
        half = self.op("_mul_scalar", x, scalar=0.5)
        return self.op("elemwise_mul", half, self.op("_plus_scalar", inner, scalar=1.0))


def interleaved(parts: Sequence[Tensor], heads: int) -> Tensor:
    """Rows of queries, keys and values in the order in which MXNet's attention reads them.

    Args:
        parts: the three, each (D, ...).
        heads: N.

    Returns:
        (3 * D, ...): head by head its rows of each.
    """
    dealt = torch.stack([part.detach().unflatten(0, (heads, -1)) for part in parts], 1)
    return dealt.flatten(0, 2)  # (N, 3, H, ...) -> (3 * D, ...)
