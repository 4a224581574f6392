"""Build TensorFlow SavedModels; no part of plainbert is imported.

    .tf/bin/python -I plainbert/export/savedmodel/build.py FOLDER ...

Each FOLDER holds ``weights.npz`` (Hugging Face's names, the body's under ``bert.``) and
``request.json`` (where to, task, sizes, pooling). The graph is plain operations, its weights are
variables, and it takes any batch and any length up to the model's positions.

Source: Devlin et al. 2019 (arXiv:1810.04805); the signatures of bert-multi-gpu 66dc4ec.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FAR = 1e30  # added to scores and vectors that must not count


def main(*folders: str) -> None:
    """Build what is requested."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it talks about the processor otherwise
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for folder in folders:
        build(Path(folder))


class GraphModel:
    """BERT, and what comes after it, as a function of padded (B, L) int32 tensors.

    Args:
        weights: arrays by Hugging Face's names; torch's linear layers are (out, in).
        request: what ``request.json`` holds.
    """

    def __init__(self, weights: dict[str, Any], request: dict[str, Any]) -> None:
        import tensorflow as tf

        self.tf, self.weights, self.request = tf, weights, request
        self.config = request["config"]
        self.variables: dict[str, Any] = {}
        some = tf.zeros((1, 2), tf.int32)
        self(some, some + 1, some)  # makes the variables, which tracing may not

    def __call__(self, input_ids: Any, input_mask: Any, segment_ids: Any) -> Any:
        """The logits or vectors, as the source has them."""
        tf, task = self.tf, self.request["task"]
        layers = self.layers(input_ids, input_mask, segment_ids)
        if task == "embedding":
            return self.vectors(layers, input_mask)
        if task == "question_answering":
            return self.dense(layers[-1], "qa_outputs")
        if task == "ner":
            return self.dense(layers[-1], "classifier")
        return self.dense(tf.tanh(self.dense(layers[-1][:, 0], "bert.pooler.dense")), "classifier")

    def variable(self, name: str, make: Callable[[], Any]) -> Any:
        """The variable of that name, made when first asked for."""
        if name not in self.variables:
            self.variables[name] = self.tf.Variable(make(), trainable=False, name=name)
        return self.variables[name]

    def weight(self, name: str) -> Any:
        """A weight as it is."""
        return self.variable(name, lambda: self.weights[name])

    def dense(self, x: Any, *layers: str) -> Any:
        """Linear layers of one input, side by side: (..., D) -> (..., sum of outputs)."""
        tf, name = (
            self.tf,
            ".".join([layers[0], *(layer.rpartition(".")[2] for layer in layers[1:])]),
        )
        parts = {
            kind: [self.weights[f"{layer}.{kind}"] for layer in layers]
            for kind in ("weight", "bias")
        }
        kernel = self.variable(f"{name}.kernel", lambda: np.concatenate(parts["weight"]).T)
        bias = self.variable(f"{name}.bias", lambda: np.concatenate(parts["bias"]))
        # Rows in one matrix: TensorFlow joins such a product, the bias and a GELU in one operation.
        rows = tf.nn.bias_add(tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel), bias)
        return tf.reshape(rows, (*leading(tf, x), kernel.shape[1]))

    def norm(self, x: Any, name: str) -> Any:
        tf = self.tf
        x -= tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        scale = tf.math.rsqrt(variance + self.config["layer_norm_eps"])
        return x * scale * self.weight(f"{name}.weight") + self.weight(f"{name}.bias")

    def activation(self, x: Any) -> Any:
        name = self.config["hidden_act"]
        return self.tf.nn.relu(x) if name == "relu" else self.tf.nn.gelu(x, name != "gelu")

    def layers(self, ids: Any, mask: Any, types: Any) -> list[Any]:
        """The embeddings' output, then each layer's that is needed; each (B, L, D)."""
        tf, scope = self.tf, "bert.embeddings"
        most = self.config["max_position_embeddings"]
        tf.debugging.assert_less_equal(
            tf.shape(ids)[1], most, "more tokens than the model has positions"
        )
        total = tf.gather(self.weight(f"{scope}.word_embeddings.weight"), ids)
        total += tf.gather(self.weight(f"{scope}.token_type_embeddings.weight"), types)
        total += self.weight(f"{scope}.position_embeddings.weight")[: tf.shape(ids)[1]]
        layers = [self.norm(total, f"{scope}.LayerNorm")]
        bias = (tf.cast(mask != 0, tf.float32) - 1)[:, None, None] * FAR  # (B, 1, 1, L)
        for number in range(self.request["depth"]):
            layers.append(self.layer(layers[-1], bias, f"bert.encoder.layer.{number}"))
        return layers

    def layer(self, x: Any, bias: Any, scope: str) -> Any:
        tf = self.tf
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        names = [f"{scope}.attention.self.{name}" for name in ("query", "key", "value")]
        q, k, v = (
            tf.transpose(tf.reshape(part, (*leading(tf, x), heads, size)), (0, 2, 1, 3))
            for part in tf.split(self.dense(x, *names), 3, -1)
        )  # (B, N, L, H)
        scores = tf.matmul(q, k, transpose_b=True) * size**-0.5 + bias  # (B, N, L, L)
        mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3))
        mixed = tf.reshape(mixed, (*leading(tf, x), heads * size))
        out = f"{scope}.attention.output"
        x = self.norm(self.dense(mixed, f"{out}.dense") + x, f"{out}.LayerNorm")
        wide = self.activation(self.dense(x, f"{scope}.intermediate.dense"))
        return self.norm(self.dense(wide, f"{scope}.output.dense") + x, f"{scope}.output.LayerNorm")

    def vectors(self, layers: list[Any], mask: Any) -> Any:
        """One vector per sequence, or per token where the pooling is "none"."""
        tf, pooling = self.tf, self.request["pooling"]
        count = self.config["num_hidden_layers"] + 1
        chosen = [layers[count + layer] for layer in pooling["layers"]]
        if pooling["kind"] == "pooled":
            vectors = tf.tanh(self.dense(chosen[0][:, 0], "bert.pooler.dense"))
        else:
            vectors = self.pool(pooling["kind"], tf.concat(chosen, -1), mask)
        if pooling["normalize"]:
            vectors /= tf.maximum(tf.norm(vectors, axis=-1, keepdims=True), 1e-12)
        return vectors

    def pool(self, kind: str, hidden: Any, mask: Any) -> Any:
        tf = self.tf
        if kind == "none":
            return hidden
        if kind == "first":
            return hidden[:, 0]
        share = tf.cast(mask, tf.float32)[..., None]  # (B, L, 1)
        if kind == "last":
            last = tf.one_hot(tf.reduce_sum(mask, 1) - 1, tf.shape(mask)[1])
            return tf.reduce_sum(hidden * last[..., None], 1)
        mean = tf.reduce_sum(hidden * share, 1) / tf.reduce_sum(share, 1)
        largest = tf.reduce_max(hidden + (share - 1) * FAR, 1)
        kinds = {"mean": [mean], "max": [largest], "mean_max": [mean, largest]}
        return tf.concat(kinds[kind], -1)


def leading(tf: Any, x: Any) -> list[Any]:
    """All axes of a tensor but the last, as numbers where they are known."""
    sizes = tf.shape(x)
    return [sizes[axis] if n is None else n for axis, n in enumerate(x.shape[:-1])]


def build(folder: Path) -> None:
    """Write the SavedModel that a request asks for."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    with np.load(folder / "weights.npz", allow_pickle=False) as stored:
        model = GraphModel(dict(stored), request)
    tf = model.tf
    module = tf.Module()
    module.weights = model.variables
    tf.saved_model.save(module, request["folder"], signatures(model))


def signatures(model: GraphModel) -> dict[str, Any]:
    """The functions that clients call, by name."""
    tf, request = model.tf, model.request
    row = tf.TensorSpec((None, None), tf.int32)
    tokens = [row, row, row]
    # One graph for all of them; it is pruned to what a signature needs.
    compute = tf.function(model, input_signature=tokens)

    def tokens_only(input_ids: Any, input_mask: Any, segment_ids: Any) -> dict[str, Any]:
        return answers(tf, request, compute(input_ids, input_mask, segment_ids), input_mask)

    def logits(input_ids: Any, input_mask: Any, segment_ids: Any) -> dict[str, Any]:
        return {"logits": compute(input_ids, input_mask, segment_ids)}

    # Defaults are tensors: TensorFlow Serving fills in what a gRPC client does not send.
    zeros = tf.zeros((1, request["classes"]) if request["several"] else (1,), tf.int32)
    none, unknown = tf.zeros((1, 1), tf.int32), tf.constant([-1])

    def classify(
        input_ids: Any, input_mask: Any, segment_ids: Any, label_ids: Any = zeros
    ) -> dict[str, Any]:
        return tokens_only(input_ids, input_mask, segment_ids)

    def tag(
        input_ids: Any,
        input_mask: Any,
        segment_ids: Any,
        label_ids: Any = none,
        output_mask: Any = none,
        seq_len: Any = unknown,
    ) -> dict[str, Any]:
        tags = tokens_only(input_ids, input_mask, segment_ids)
        return {**tags, "seq_len": tf.where(seq_len < 0, tags["seq_len"], seq_len)}

    labels = tf.TensorSpec((None, *zeros.shape[1:]), tf.int32)
    default, more = {
        "classification": (classify, [labels]),
        "ner": (tag, [row, row, tf.TensorSpec((None,), tf.int32)]),
    }.get(request["task"], (tokens_only, []))
    return {
        "serving_default": tf.function(default, input_signature=tokens + more),
        "tokens_only": tf.function(tokens_only, input_signature=tokens),
        "logits": tf.function(logits, input_signature=tokens),
    }


def answers(tf: Any, request: dict[str, Any], outputs: Any, mask: Any) -> dict[str, Any]:
    """What a task's signature returns, made of its logits."""
    task = request["task"]
    if task == "classification":
        return {"probabilities": (tf.sigmoid if request["several"] else tf.nn.softmax)(outputs)}
    if task == "regression":
        return {"predictions": outputs[:, 0]}
    if task == "question_answering":
        return {"start_logits": outputs[..., 0], "end_logits": outputs[..., 1]}
    if task == "ner":
        words = tf.reduce_sum(mask, 1) - 2  # without [CLS] and [SEP], as bert-multi-gpu counts
        return {"predictions": tf.argmax(outputs, -1, tf.int32), "seq_len": words}
    return {"vectors": outputs}


if __name__ == "__main__":
    main(*sys.argv[1:])
