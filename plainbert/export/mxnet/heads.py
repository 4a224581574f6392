"""What comes after the encoder in a graph of MXNet's operators: heads and pooling.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`; D' is the width after
layers were joined.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from plainbert.errors import CheckpointError
from plainbert.export.mxnet.graph import MODEL, Graph
from plainbert.export.mxnet.symbol import Node
from plainbert.export.source import Source
from plainbert.nn.layout import FAR
from plainbert.nn.pooling import Pooling

INPUTS = ("data0", "data1", "data2")  # ids and types (B, L), valid lengths (B,)
# Prefixes of the models of GluonNLP's scripts.
NETS = {
    "classification": "bertclassifier0_",
    "regression": "bertclassifier0_",
    "question_answering": "bertforqa0_",
    "ner": "berttagger0_",
}


def build(
    source: Source, *, dropout: float = 0.0, fused: bool = False
) -> tuple[str, dict[str, Tensor]]:
    """The graph of a model, and its weights.

    Args:
        source: what to export.
        dropout: share that Dropout nodes drop in training mode; 0 leaves them out.
        fused: store queries, keys and values in one matrix, in place of joining them in the graph.

    Returns:
        the text of the graph, and the weights by name.

    Raises:
        CheckpointError: the pooled vector is wanted of a model that has none.
    """
    graph = Graph(source.body, dropout, fused)
    ids, types, counts = (graph.symbol.variable(name) for name in INPUTS)
    lengths = graph.op("Cast", counts, dtype="float32")
    layers = [graph.embeddings(ids, types)]
    seen = graph.seen(lengths, layers[0])
    for number in range(depth(source)):
        layers.append(graph.layer(layers[-1], number, seen))
    if source.task == "embedding":
        assert source.pooling is not None
        output = _vectors(graph, layers, lengths, source)
    else:
        output = _logits(graph, layers[-1], lengths, source)
    return graph.symbol.to_json(output), graph.arrays


def depth(source: Source) -> int:
    """Layers that the output depends on."""
    most = source.config.num_hidden_layers
    return most if source.pooling is None else source.pooling.depth(most)


def _logits(graph: Graph, hidden: Node, lengths: Node, source: Source) -> Node:
    """Logits of a task: (B, C), or (B, L, C) for one that judges tokens."""
    hidden = _masked(graph, hidden, lengths)
    if source.task in ("classification", "regression"):
        x = graph.drop(_pooled(graph, hidden))  # (B, D)
    else:
        x = graph.op("transpose", hidden, axes=(1, 0, 2))  # (L, B, D) -> (B, L, D)
        x = graph.drop(x) if source.task == "ner" else x
    name = "qa_outputs" if source.task == "question_answering" else "classifier"
    layer = cast(nn.Linear, source.model.get_submodule(name))
    return graph.dense(x, f"{NETS[source.task]}dense0", layer)


def _vectors(graph: Graph, layers: list[Node], lengths: Node, source: Source) -> Node:
    """Vectors of sequences, (B, D'), or of tokens, (B, L, D')."""
    pooling = cast(Pooling, source.pooling)
    count = source.config.num_hidden_layers + 1
    chosen = [layers[count + layer] for layer in pooling.layers]
    hidden = chosen[0]  # (L, B, D')
    if len(chosen) > 1:
        hidden = graph.op("Concat", *chosen, dim=2, num_args=len(chosen))
    vectors = _pool(graph, pooling.kind, hidden, lengths)
    if not pooling.normalize:
        return vectors
    length = graph.op("norm", vectors, ord=2, axis=-1, keepdims=True)
    return graph.op("broadcast_div", vectors, graph.op("_maximum_scalar", length, scalar=1e-12))


def _pool(graph: Graph, kind: str, hidden: Node, lengths: Node) -> Node:
    """(L, B, D') -> (B, D'), or (B, L, D') for "none"."""
    if kind == "mean_max":
        both = [_pool(graph, part, hidden, lengths) for part in ("mean", "max")]
        return graph.op("Concat", *both, dim=1, num_args=2)
    if kind == "max":
        return graph.op("max", _masked(graph, hidden, lengths, -FAR), axis=0)
    if kind == "last":
        return graph.op("SequenceLast", hidden, lengths, axis=0, use_sequence_length=True)
    if kind == "pooled":
        return _pooled(graph, hidden)
    if kind == "first":
        return _first(graph, hidden)
    hidden = _masked(graph, hidden, lengths)
    if kind == "none":
        return graph.op("transpose", hidden, axes=(1, 0, 2))
    total = graph.op("sum", hidden, axis=0)
    return graph.op("broadcast_div", total, graph.op("Reshape", lengths, shape=(-1, 1)))


def _masked(graph: Graph, hidden: Node, lengths: Node, value: float = 0.0) -> Node:
    """(L, B, D) with one value behind the end of each sequence."""
    return graph.op("SequenceMask", hidden, lengths, axis=0, use_sequence_length=True, value=value)


def _first(graph: Graph, hidden: Node) -> Node:
    """(L, B, D') -> (B, D'), the vector of [CLS]."""
    return graph.op(
        "Reshape", graph.op("slice_axis", hidden, axis=0, begin=0, end=1), shape=(-3, 0)
    )


def _pooled(graph: Graph, hidden: Node) -> Node:
    """(L, B, D) -> (B, D), the pooler's output."""
    pooler = graph.body.pooler
    if pooler is None:
        raise CheckpointError(
            "the model has no pooler, which CLS_POOLED is made by; choose another pooling, such "
            "as REDUCE_MEAN."
        )
    x = graph.dense(_first(graph, hidden), f"{MODEL}pooler", pooler.dense)
    return graph.op("Activation", x, act_type="tanh")
