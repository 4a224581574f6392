"""Run a ``.params`` file with real GluonNLP on Apache MXNet; no part of plainbert is imported.

    .mx/bin/python -I plainbert/compare/run_mxnet.py FOLDER

``FOLDER`` holds ``request.json`` (the weights' path, sizes, head) and ``batch-N.npz`` (ids, types,
lengths, gold); ``output-N.npz`` is written beside each. MXNet computes in float32.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ACTIVATIONS = {
    "gelu": "gelu", "relu": "relu", "gelu_new": "approx_gelu", "gelu_pytorch_tanh": "approx_gelu",
}  # fmt: skip
HEAD = {  # output and, in GluonNLP's task files, the head's layer
    "classification": "class logits",
    "regression": "regression",
    "question_answering": "span",
    "token_classification": "tag logits",
}
PREFIXES = ("bert.", "bert_model.")  # of the body in task files


def main(folder: Path) -> None:
    """Run every batch of the request."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    model, head, embedded = build(request)
    for number in range(request["batches"]):
        with np.load(folder / f"batch-{number}.npz") as batch:
            arrays = outputs(model, head, embedded, dict(batch), request)
        np.savez(folder / f"output-{number}.npz", **arrays)


def build(request: dict[str, Any]) -> tuple[Any, Any, list[Any]]:
    """GluonNLP's model with the file's weights, the head of a task, and where embeddings appear."""
    import mxnet as mx
    from gluonnlp.model.bert import BERTEncoder, BERTModel

    config, kind = request["config"], request["head"]
    encoder = BERTEncoder(
        num_layers=config["num_hidden_layers"],
        units=config["hidden_size"],
        hidden_size=config["intermediate_size"],
        num_heads=config["num_attention_heads"],
        max_length=config["max_position_embeddings"],
        dropout=0.0,
        activation=ACTIVATIONS[config["hidden_act"]],
        layer_norm_eps=config["layer_norm_eps"],
        output_all_encodings=True,
    )
    model = BERTModel(
        encoder,
        vocab_size=config["vocab_size"],
        embed_size=config["hidden_size"],
        units=config["hidden_size"],
        token_type_vocab_size=config["type_vocab_size"],
        use_pooler=request["pooler"],
        use_decoder=kind in ("masked_lm", "pretraining"),
        use_classifier=kind in ("next_sentence", "pretraining"),
    )
    model.initialize(ctx=mx.cpu())
    arrays = structural(mx.nd.load(request["weights"]), body=kind not in HEAD)
    fill(model, arrays)
    head = None
    if kind in HEAD:
        classes = {"question_answering": 2, "regression": 1}.get(kind, request["classes"])
        head = mx.gluon.nn.Dense(classes, in_units=config["hidden_size"], flatten=False)
        head.initialize(ctx=mx.cpu())
        fill(head, {name[5:]: value for name, value in arrays.items() if name[:5] == "head."})
    embedded: list[Any] = []
    encoder.layer_norm.register_forward_hook(lambda block, args, value: embedded.append(value))
    return model, head, embedded


def structural(arrays: dict[str, Any], body: bool) -> dict[str, Any]:
    """The file's arrays under BERTModel's own names; the head of a task under ``head.``."""
    renamed = {}
    for name, value in arrays.items():
        prefix = next((start for start in PREFIXES if name.startswith(start)), None)
        if prefix is not None:
            renamed[name[len(prefix) :]] = value
        elif not body and name.split(".")[0] in (
            "classifier",
            "regression",
            "span_classifier",
            "tag_classifier",
        ):
            renamed["head." + name.split(".")[-1]] = value
        else:
            renamed[name] = value
    return renamed


def fill(block: Any, arrays: dict[str, Any]) -> None:
    """Set every parameter of a block; a tied one may be stored under either of its names."""
    parameters = block._collect_params_with_prefix()
    names: dict[int, list[str]] = {}
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), []).append(name)
    for same in names.values():
        stored = next((name for name in same if name in arrays), None)
        if stored is None:
            raise ValueError(f"the file has no {same[0]}; GluonNLP's model needs it")
        parameters[stored].set_data(arrays[stored].astype("float32"))


def outputs(
    model: Any, head: Any, embedded: list[Any], batch: dict[str, Any], request: dict[str, Any]
) -> dict[str, Any]:
    """Every output of one batch; rows of real tokens only, since GluonNLP zeroes the others."""
    import mxnet as mx

    count, longest = batch["ids"].shape
    mask = np.arange(longest) < batch["lengths"][:, None]
    ids, types = (mx.nd.array(batch[name], dtype="float32") for name in ("ids", "types"))
    lengths = mx.nd.array(batch["lengths"], dtype="float32")
    positions = mx.nd.array(np.tile(np.arange(longest), (count, 1)), dtype="int32")
    kind = request["head"]
    words = kind in ("masked_lm", "pretraining")
    embedded.clear()
    result = model(ids, types, lengths, positions) if words else model(ids, types, lengths)
    # A model without pooler and heads returns the list of layers itself.
    parts = list(result) if request["pooler"] or words else [result]
    layers = [embedded[0].transpose((1, 0, 2)), *parts.pop(0)]
    arrays = {
        f"layer {number}" if number else "embeddings": layer.asnumpy()[mask]
        for number, layer in enumerate(layers)
    }
    pooled = parts.pop(0) if request["pooler"] else None
    if pooled is not None:
        arrays["pooled"] = pooled.asnumpy()
    if kind in ("next_sentence", "pretraining"):
        arrays["NSP logits"] = parts.pop(0).asnumpy()
    if words:
        arrays["MLM logits"] = parts.pop(0).asnumpy()[mask]
    if kind in ("classification", "regression"):
        arrays[HEAD[kind]] = head(pooled).asnumpy()
    elif kind == "token_classification":
        arrays["tag logits"] = head(layers[-1]).asnumpy()[mask]
    elif kind == "question_answering":
        arrays.update(span(head(layers[-1]), batch, mask))
    return arrays


def span(logits: Any, batch: dict[str, Any], mask: Any) -> dict[str, Any]:
    """Start and end logits, and the mean of both cross entropies, text by text."""
    import mxnet as mx

    entropy = mx.gluon.loss.SoftmaxCELoss()
    losses = []
    for row, length in enumerate(batch["lengths"].tolist()):
        both = logits[row, :length].transpose((1, 0))  # (2, L)
        gold = mx.nd.array(batch["gold"][row])
        losses.append(entropy(both, gold).mean().asscalar())
    values = logits.asnumpy()[mask]
    return {
        "start logits": values[:, 0],
        "end logits": values[:, 1],
        "loss": np.array(losses, dtype="float32"),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
