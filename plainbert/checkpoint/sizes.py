"""Hold a config's sizes against the stored tensors, before a model of that size is built."""

from __future__ import annotations

import re
from collections.abc import Mapping

from plainbert.checkpoint.names import WORDS, own_names, some
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError

LAYER = re.compile(r"encoder\.layer\.(\d{1,9})\.")


def check_sizes(config: BertConfig, shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Refuse a config that asks for another model than the file holds.

    A config that states a billion layers would otherwise fill the memory before any weight of it
    is missed.

    Args:
        config: as config.json states it.
        shapes: of the stored tensors, by their names in the file.
        source: the folder, for messages.

    Raises:
        CheckpointError: names the field, what the config and what the file says.
    """
    stored, _ = own_names(shapes, source)
    if WORDS not in stored:
        raise CheckpointError(
            f"{source} lacks {WORDS}: its weight files do not hold a BERT. Is it another "
            "architecture?"
        )
    width = config.hidden_size
    expected = {
        WORDS: ((config.vocab_size, width), "vocab_size, hidden_size"),
        "embeddings.position_embeddings.weight": (
            (config.max_position_embeddings, width), "max_position_embeddings, hidden_size",
        ),
        "embeddings.token_type_embeddings.weight": (
            (config.type_vocab_size, width), "type_vocab_size, hidden_size",
        ),
        "encoder.layer.0.intermediate.dense.weight": (
            (config.intermediate_size, width), "intermediate_size, hidden_size",
        ),
    }  # fmt: skip
    for name, (shape, fields) in expected.items():
        if name in stored and stored[name][1] != shape:
            raise CheckpointError(
                f"{source}: {stored[name][0]} has shape {stored[name][1]}, but config.json makes "
                "it "
                f"{shape} ({fields}). They do not belong together."
            )
    layers = sorted({int(match[1]) for name in stored if (match := LAYER.match(name))})
    if len(layers) != config.num_hidden_layers or layers[-1] + 1 != len(layers):
        gap = layers and layers[-1] + 1 != len(layers)
        held = f"the layers {some(map(str, layers))}" if gap else f"{len(layers)} layers"
        raise CheckpointError(
            f"{source} holds {held}, but config.json states "
            f"num_hidden_layers={config.num_hidden_layers}. They do not belong together."
        )
