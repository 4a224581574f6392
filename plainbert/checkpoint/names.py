"""What weights are called in files: the heads, what to ignore, old spellings. Without torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from plainbert.errors import CheckpointError

T = TypeVar("T")

# The parts on top of the body. Each is used whole, created fresh whole, or left out whole.
HEADS = ("pooler", "cls.predictions", "cls.seq_relationship", "classifier", "qa_outputs")
# Never parameters of ours: buffers that count 0, 1, 2 ..., and what an optimizer left.
IGNORED = re.compile(
    r"(^|\.)embeddings\.(position_ids|token_type_ids)$"
    r"|(^|[./_])(adam_[mv]|global_step|exp_avg(_sq)?|momentum_buffer|good_steps|loss_scale)"
    r"|^optimizer\."
)
DECODER = "cls.predictions.decoder"  # tied: its matrix is the word embedding's
WORDS = "embeddings.word_embeddings.weight"
PARALLEL = "module."  # torch.nn.DataParallel puts it before every name


def own_names(tensors: Mapping[str, T], source: str) -> tuple[dict[str, tuple[str, T]], list[str]]:
    """Tensors under the names of our models without ``bert.``.

    Args:
        tensors: by their names in the file: old (gamma, beta) or new, with or without ``bert.``,
            all of them with ``module.`` or none.
        source: where they come from, for messages.

    Returns:
        (name in the file, tensor) by our name; the names that are ignored.

    Raises:
        CheckpointError: two names mean the same weight.
    """
    own: dict[str, tuple[str, T]] = {}
    ignored = []
    parallel = PARALLEL if all(name.startswith(PARALLEL) for name in tensors) else ""
    for original, tensor in tensors.items():
        name = original.removeprefix(parallel)
        if IGNORED.search(name):
            ignored.append(original)
            continue
        name = name.removeprefix("bert.")
        if name.endswith("LayerNorm.gamma"):
            name = f"{name.removesuffix('gamma')}weight"
        elif name.endswith("LayerNorm.beta"):
            name = f"{name.removesuffix('beta')}bias"
        if name in own:
            raise CheckpointError(
                f"{source} holds both {own[name][0]} and {original}, which are the same weight."
            )
        own[name] = (original, tensor)
    return own, ignored


def head_of_name(name: str) -> str | None:
    """The head that a parameter belongs to; None for the body and for unknown names."""
    return next((head for head in HEADS if name.startswith(f"{head}.")), None)


def some(names: Iterable[str]) -> str:
    """Names for a message: all, or the first eight and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    return ", ".join(listed[:8]) + more
