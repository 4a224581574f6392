"""Run a TensorFlow checkpoint with real TensorFlow; no part of plainbert is imported.

    .tf/bin/python -I plainbert/compare/run_tensorflow.py FOLDER

TensorFlow reads the weights (``tf.train.load_checkpoint``) and computes BERT with its operations,
written out below from Google's variable names. ``FOLDER`` holds ``request.json`` (the checkpoint's
prefix, sizes, head) and ``batch-N.npz`` (ids, types, lengths, gold); ``output-N.npz`` is written
beside each.

Source: Devlin et al. 2019 (arXiv:1810.04805); google-research/bert, modeling.py.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

# Google's names of what its scripts put on top of the body.
HEADS = {
    "classification": ("class logits", "output_weights", "output_bias"),
    "regression": ("regression", "output_weights", "output_bias"),
    "question_answering": ("span", "cls/squad/output_weights", "cls/squad/output_bias"),
    "next_sentence": (
        "NSP logits", "cls/seq_relationship/output_weights", "cls/seq_relationship/output_bias",
    ),
}  # fmt: skip


class CheckpointBert:
    """BERT by the formula.

    Args:
        prefix: path of the checkpoint, without ``.index``.
        config: sizes, by the names of ``config.json``.
        dtype: "float64" or "float32".
    """

    def __init__(self, prefix: str, config: dict[str, Any], dtype: str) -> None:
        import tensorflow as tf

        self.tf = tf
        self.config = config
        self.dtype = dtype
        self.stored = tf.train.load_checkpoint(prefix)
        self.read: dict[str, Any] = {}

    def weight(self, name: str) -> Any:
        """A variable of the checkpoint."""
        if name not in self.read:
            if not self.stored.has_tensor(name):
                raise ValueError(f"the checkpoint has no {name}")
            self.read[name] = self.tf.cast(self.stored.get_tensor(name), self.dtype)
        return self.read[name]

    def dense(self, x: Any, scope: str) -> Any:
        """Kernels are (in, out)."""
        return self.tf.tensordot(x, self.weight(f"{scope}/kernel"), 1) + self.weight(
            f"{scope}/bias"
        )

    def norm(self, x: Any, scope: str) -> Any:
        tf = self.tf
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        normed = (x - mean) / tf.sqrt(variance + self.config["layer_norm_eps"])
        return normed * self.weight(f"{scope}/gamma") + self.weight(f"{scope}/beta")

    def activation(self, x: Any) -> Any:
        """Written out: ``tf.nn.gelu`` has a constant in float32, also when ``x`` is float64."""
        tf, name = self.tf, self.config["hidden_act"]
        if name == "relu":
            return tf.nn.relu(x)
        if name == "gelu":
            return 0.5 * x * (1 + tf.math.erf(x / tf.sqrt(tf.constant(2, self.dtype))))
        scale = tf.sqrt(tf.constant(2 / np.pi, self.dtype))
        return 0.5 * x * (1 + tf.tanh(scale * (x + tf.constant(0.044715, self.dtype) * x**3)))

    def embed(self, ids: Any, types: Any) -> Any:
        tf, scope = self.tf, "bert/embeddings"
        total = tf.gather(self.weight(f"{scope}/word_embeddings"), ids)
        total += tf.gather(self.weight(f"{scope}/token_type_embeddings"), types)
        total += self.weight(f"{scope}/position_embeddings")[None, : ids.shape[1]]
        return self.norm(total, f"{scope}/LayerNorm")

    def attend(self, x: Any, mask: Any, scope: str) -> Any:
        """softmax(q k^T / sqrt(H)) v, per head; masked keys get no weight."""
        tf = self.tf
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        shape = (*x.shape[:2], heads, size)
        q, k, v = (
            tf.transpose(tf.reshape(self.dense(x, f"{scope}/self/{name}"), shape), (0, 2, 1, 3))
            for name in ("query", "key", "value")
        )  # (B, N, L, H)
        scores = tf.matmul(q, k, transpose_b=True) / tf.sqrt(tf.cast(size, self.dtype))
        lowest = tf.constant(-1e30, self.dtype)
        scores = tf.where(mask[:, None, None], scores, lowest)  # (B, N, L, L)
        mixed = tf.matmul(tf.nn.softmax(scores), v)
        joined = tf.reshape(tf.transpose(mixed, (0, 2, 1, 3)), x.shape)
        return self.norm(
            self.dense(joined, f"{scope}/output/dense") + x, f"{scope}/output/LayerNorm"
        )

    def layer(self, x: Any, mask: Any, number: int) -> Any:
        scope = f"bert/encoder/layer_{number}"
        x = self.attend(x, mask, f"{scope}/attention")
        wide = self.activation(self.dense(x, f"{scope}/intermediate/dense"))
        return self.norm(self.dense(wide, f"{scope}/output/dense") + x, f"{scope}/output/LayerNorm")

    def layers(self, ids: Any, types: Any, mask: Any) -> list[Any]:
        """The embeddings' output, then every layer's; each (B, L, D)."""
        layers = [self.embed(ids, types)]
        for number in range(self.config["num_hidden_layers"]):
            layers.append(self.layer(layers[-1], mask, number))
        return layers

    def words(self, hidden: Any) -> Any:
        """Logits over the vocabulary; the matrix is the word embedding's."""
        scope = "cls/predictions/transform"
        x = self.norm(self.activation(self.dense(hidden, f"{scope}/dense")), f"{scope}/LayerNorm")
        embedding = self.weight("bert/embeddings/word_embeddings")
        logits = self.tf.tensordot(x, self.tf.transpose(embedding), 1)
        return logits + self.weight("cls/predictions/output_bias")

    def linear(self, x: Any, weights: str, bias: str) -> Any:
        """Heads store (classes, D)."""
        return self.tf.tensordot(x, self.tf.transpose(self.weight(weights)), 1) + self.weight(bias)


def outputs(bert: CheckpointBert, batch: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Every output of one batch; rows of real tokens only."""
    tf, kind = bert.tf, request["head"]
    mask = np.arange(batch["ids"].shape[1]) < batch["lengths"][:, None]
    layers = bert.layers(tf.constant(batch["ids"]), tf.constant(batch["types"]), tf.constant(mask))
    arrays = {
        f"layer {number}" if number else "embeddings": layer.numpy()[mask]
        for number, layer in enumerate(layers)
    }
    pooled = None
    if request["pooler"]:
        pooled = tf.tanh(bert.dense(layers[-1][:, 0], "bert/pooler/dense"))
        arrays["pooled"] = pooled.numpy()
    if kind in ("masked_lm", "pretraining"):
        arrays["MLM logits"] = bert.words(layers[-1]).numpy()[mask]
    if kind == "pretraining":
        kind = "next_sentence"
    if kind == "question_answering":
        logits = bert.linear(layers[-1], *HEADS[kind][1:])
        arrays.update(span(tf, logits, batch, mask))
    elif kind in HEADS:
        arrays[HEADS[kind][0]] = bert.linear(pooled, *HEADS[kind][1:]).numpy()
    return arrays


def span(tf: Any, logits: Any, batch: dict[str, Any], mask: Any) -> dict[str, Any]:
    """Start and end logits, and the mean of both cross entropies, text by text."""
    losses = [
        tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.constant(batch["gold"][row]), tf.transpose(logits[row, :length])
            )
        ).numpy()
        for row, length in enumerate(batch["lengths"].tolist())
    ]
    values = logits.numpy()[mask]
    return {
        "start logits": values[:, 0],
        "end logits": values[:, 1],
        "loss": np.array(losses, dtype=values.dtype),
    }


def main(folder: Path) -> None:
    """Run every batch of the request."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it talks about the processor otherwise
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    bert = CheckpointBert(request["weights"], request["config"], request["dtype"])
    for number in range(request["batches"]):
        with np.load(folder / f"batch-{number}.npz") as batch:
            arrays = outputs(bert, dict(batch), request)
        np.savez(folder / f"output-{number}.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
