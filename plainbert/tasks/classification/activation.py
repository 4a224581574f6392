"""What sentence-transformers' CrossEncoder makes scores of logits with, as its folders state it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.config import BertConfig
from plainbert.errors import CheckpointError
from plainbert.keys.config_json import activation_of
from plainbert.nn.names import MULTI_LABEL

log = logging.getLogger(__name__)

Array = NDArray[Any]


def _sigmoid(logits: Array) -> Array:
    halves: Array = 0.5 * np.tanh(0.5 * logits) + 0.5  # 1 / (1 + exp(-x)), and never overflows
    return halves


# By the last part of the names, such as torch.nn.modules.activation.Sigmoid.
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Identity": lambda logits: logits,
    "Sigmoid": _sigmoid,
    "Tanh": np.tanh,
    "ReLU": lambda logits: np.maximum(logits, 0),
}


def activated(logits: Array, config: BertConfig) -> Array:
    """The scores of a regressor; the logits where its config names no activation.

    A model that tells classes apart keeps its logits: the most probable class is the same.

    Args:
        logits: (N, C); C is 1 for a regressor.
        config: what config.json says, the activation among it.

    Raises:
        CheckpointError: the function is none that we have.
    """
    name = activation_of(config.extra, logits.shape[1])
    if name is None:
        return logits
    kind = name.rpartition(".")[2]
    if logits.shape[1] > 1 or config.problem_type == MULTI_LABEL:
        if kind not in ("Identity", "Softmax") and config.problem_type != MULTI_LABEL:
            log.warning("the activation %s is not followed: probabilities are the softmax", kind)
        return logits
    if kind not in FUNCTIONS:
        raise CheckpointError(
            f"activation_fn={name}: scores are made of logits by a function that is not known. "
            f"Known: {', '.join(FUNCTIONS)}. For the logits themselves, take the key out of "
            "config.json."
        )
    return FUNCTIONS[kind](logits)
