"""What values enter the matrix products of an encoder: the calibration of int8 exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert.batching.batch import collate, inference_batches
from plainbert.batching.features import Features
from plainbert.nn.bert import Bert

Array = NDArray[np.float32]

# Inputs of a layer's products, by the module that gets them.
MODULES = ("attention.self", "attention.output.dense", "intermediate.dense", "output.dense")
# What a channel's range is raised to, for its factor: 0 changes nothing, 1 makes all ranges equal.
SHARE = 0.4
FLOOR = 1e-3  # a channel counts as at least so much of the largest one


@dataclass(frozen=True)
class Range:
    """What was seen of a product's input.

    Attributes:
        low: least value of each channel; (K,).
        high: largest value of each channel; (K,).
    """

    low: Array
    high: Array

    def factors(self) -> Array:
        """What to divide each channel by; their geometric mean is 1."""
        size = np.maximum(np.abs(self.low), np.abs(self.high)).astype(np.float64)
        size = np.maximum(size, max(FLOOR * float(size.max()), 1e-12))
        return (np.exp(np.log(size) - np.log(size).mean()) ** SHARE).astype(np.float32)


def observe(body: Bert, features: Features) -> dict[str, Range]:
    """Run texts through the model and note the range of each input of the encoder's products.

    Args:
        body: the encoder, in float32.
        features: calibration texts.

    Returns:
        module to range: "layer.0.attention.self" and so on.
    """
    ranges: dict[str, Range] = {}
    tokens = 0

    def note(name: str, value: torch.Tensor) -> None:
        value = value[:tokens]  # rows beyond are no tokens
        low, high = value.amin(0).numpy(), value.amax(0).numpy()
        if name in ranges:
            low, high = np.minimum(low, ranges[name].low), np.maximum(high, ranges[name].high)
        ranges[name] = Range(low, high)

    def hook(name: str) -> Any:
        return lambda module, inputs: note(name, inputs[0])

    hooks = [
        part.register_forward_pre_hook(hook(name))
        for name, part in body.encoder.named_modules()
        if name.split(".", 2)[-1] in MODULES
    ]
    try:
        with torch.inference_mode():
            for rows in inference_batches(features.lengths):
                batch = collate(features, rows)
                tokens = len(batch.ids)
                body(batch.ids, batch.types, layout=batch.layout)
    finally:
        for handle in hooks:
            handle.remove()
    return ranges
