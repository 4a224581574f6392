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
# What torch and others wrap a model in has names in the middle of names, whatever was wrapped:
# torch.compile, FSDP, checkpointed activations, FairScale.
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_fpw_module.")
# Of all names, or none: DataParallel, Lightning's and sentence-transformers' own modules.
PREFIXES = ("module.", "0.auto_model.", "auto_model.", "model.")


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """Names without what wraps the model, by the names in the file.

    Example:
        >>> bare_names(["module._orig_mod.bert.x", "module._orig_mod.classifier.y"]).values()
        dict_values(['bert.x', 'classifier.y'])
    """
    bare = {}
    for name in names:
        inner = name
        for wrapper in WRAPPERS:
            if inner.startswith(wrapper) or f".{wrapper}" in inner:
                inner = f".{inner}".replace(f".{wrapper}", ".").removeprefix(".")
        bare[name] = inner
    while outer := next((p for p in PREFIXES if _all_have(p, bare.values())), None):
        bare = {name: inner.removeprefix(outer) for name, inner in bare.items()}
    return bare


def _all_have(prefix: str, names: Iterable[str]) -> bool:
    listed = list(names)
    return bool(listed) and all(name.startswith(prefix) for name in listed)


def own_names(tensors: Mapping[str, T], source: str) -> tuple[dict[str, tuple[str, T]], list[str]]:
    """Tensors under the names of our models without ``bert.``.

    Args:
        tensors: by their names in the file: old (gamma, beta) or new, with or without ``bert.``,
            and as :func:`bare_names` takes them.
        source: where they come from, for messages.

    Returns:
        (name in the file, tensor) by our name; the names that are ignored.

    Raises:
        CheckpointError: two names mean the same weight.
    """
    own: dict[str, tuple[str, T]] = {}
    ignored = []
    bare = bare_names(tensors)
    for original, tensor in tensors.items():
        name = bare[original]
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
