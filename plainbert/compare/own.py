"""Run a model of ours and keep every layer's output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.compare.batch import PaddedBatch
from plainbert.model_zoo import LoadedModel
from plainbert.nn.bert import Bert, Output
from plainbert.nn.headed import Headed
from plainbert.nn.heads import MultipleChoice, QuestionAnswering
from plainbert.nn.layout import Packed

# Of one batch, by the name of the output. The first axis is the tokens (T) or the texts (B);
# padding is nowhere. "embeddings", "layer 1" ... (T, D); "pooled" (B, D); "MLM logits" (T, V);
# "NSP logits" (B, 2); "class logits" (B, C); "regression" (B, 1); "tag logits" (T, C);
# "choice scores" (B, 1); "start logits", "end logits" (T,); "loss" (B,).
Outputs = dict[str, NDArray[Any]]

HEAD_OUTPUT = {
    "classification": "class logits",
    "regression": "regression",
    "token_classification": "tag logits",
    "multiple_choice": "choice scores",
    "masked_lm": "MLM logits",
    "next_sentence": "NSP logits",
}


def run(
    opened: LoadedModel, batches: Sequence[PaddedBatch], dtype: torch.dtype
) -> Iterator[Outputs]:
    """Outputs of each batch, computed on the CPU when they are asked for.

    Args:
        opened: the model; it is changed to ``dtype``.
        batches: padded texts, as :func:`plainbert.compare.batch.make` returns them for the model.
        dtype: torch.float64 or torch.float32.
    """
    model = opened.model.to(dtype).eval()
    for batch in batches:
        with torch.inference_mode():
            outputs = _outputs(model, batch)
        yield {name: values.numpy() for name, values in outputs.items()}


def _outputs(model: Bert | Headed, batch: PaddedBatch) -> dict[str, torch.Tensor]:
    layout = Packed(batch.lengths.tolist())
    ids, types = (layout.unpad(torch.from_numpy(rows)) for rows in (batch.ids, batch.types))  # (T,)
    if isinstance(model, Bert):
        return _body(model(ids, types, layout=layout, every_layer=True))
    kept: list[Output] = []
    # The head runs the body itself; the hooks make that run return every layer, and keep it.
    hooks = (
        model.bert.register_forward_pre_hook(
            lambda _, args, named: (args, {**named, "every_layer": True}), with_kwargs=True
        ),
        model.bert.register_forward_hook(lambda _, args, output: kept.append(output)),
    )
    try:
        if isinstance(model, MultipleChoice):
            model.num_choices = 1  # each text is scored by itself
        logits = model(ids, types, layout)
    finally:
        for hook in hooks:
            hook.remove()
    return _body(kept[0]) | _head(model, logits, batch)


def _body(output: Output) -> dict[str, torch.Tensor]:
    assert output.layers is not None
    outputs = {layer_name(number): layer for number, layer in enumerate(output.layers)}
    if output.pooled is not None:
        outputs["pooled"] = output.pooled
    return outputs


def layer_name(number: int) -> str:
    """What the output of a layer is called; 0 is the embeddings'."""
    return f"layer {number}" if number else "embeddings"


def _head(model: Headed, logits: Any, batch: PaddedBatch) -> dict[str, torch.Tensor]:
    if model.head == "pretraining":
        return {"MLM logits": logits.mlm, "NSP logits": logits.nsp}
    if isinstance(model, QuestionAnswering):
        losses = []
        for row, part in enumerate(logits.split(batch.lengths.tolist())):
            gold = torch.from_numpy(batch.gold[row : row + 1])
            losses.append(model.loss(part, gold, Packed([len(part)])).total)
        return {
            "start logits": logits[:, 0],
            "end logits": logits[:, 1],
            "loss": torch.stack(losses),
        }
    return {HEAD_OUTPUT[model.head]: logits}


def real_tokens(values: NDArray[Any], batch: PaddedBatch) -> NDArray[Any]:
    """Rows of the real tokens of a padded array: (B, L, ...) -> (T, ...)."""
    kept: NDArray[Any] = np.asarray(values)[batch.mask]
    return kept
