"""From token vectors to one vector per sequence.

The letters of the shape comments are explained in :mod:`plainbert.nn.layout`; D' is the width
after layers were joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from plainbert.arguments import short
from plainbert.errors import UsageError
from plainbert.nn.layout import FAR, Layout
from plainbert.nn.names import NUMBERS, kind_of


@dataclass(frozen=True)
class Pooling:
    """How token vectors become one.

    Attributes:
        kind: a key of :data:`plainbert.nn.names.NUMBERS`, or any name there: "mean" and "max"
            over the tokens, "mean_max" (both, end to end), "first" ([CLS]), "last" ([SEP]),
            "pooled" (the pooler's output), "none" (every token's vector).
        layers: counted from the end, -1 the last; several are joined end to end, before pooling.
        mask_cls_sep: leave [CLS] and [SEP] out, of attention and of mean, max and none.
        normalize: scale the vector to length 1.
        include_prompt: whether a prompt before the texts, and [CLS] before it, count in mean and
            max; everything attends to them in any case.

    Raises:
        UnknownNameError: there is no such kind.
        UsageError: no layer, or one that is not counted from the end.
    """

    kind: str = "mean"
    layers: tuple[int, ...] = (-1,)
    mask_cls_sep: bool = False
    normalize: bool = False
    include_prompt: bool = True

    def __post_init__(self) -> None:
        if self.kind not in NUMBERS:
            object.__setattr__(self, "kind", kind_of(self.kind))
        if not self.layers or any(layer >= 0 for layer in self.layers):
            raise UsageError(
                f"pooling_layer={list(self.layers)}: layers are counted from the end, -1 the last; "
                "one or more are expected."
            )
        if self.kind == "pooled" and self.layers != (-1,):
            raise UsageError(
                f"CLS_POOLED is made of the last layer; pooling_layer={list(self.layers)} does not "
                "go with it."
            )
        if not isinstance(self.normalize, bool):
            raise UsageError(f"normalize={short(self.normalize)}: True or False is expected.")

    @property
    def is_joined(self) -> bool:
        """Whether a vector is several, end to end: of layers, or mean and max."""
        return len(self.layers) > 1 or self.kind == "mean_max"

    def depth(self, num_layers: int) -> int:
        """Layers that must be computed, counted from the input.

        Raises:
            UsageError: the model has fewer layers than asked for.
        """
        if -min(self.layers) > num_layers:
            raise UsageError(
                f"pooling_layer={min(self.layers)}: the model has {num_layers} layers, -1 to "
                f"-{num_layers}."
            )
        return num_layers + 1 + max(self.layers)


def pool(
    kind: str, hidden: Tensor, layout: Layout, mask: Tensor | None = None, skip: int = 0
) -> Tensor:
    """Pool the token vectors of a packed or a padded batch.

    Args:
        kind: "mean", "max", "mean_max", "first", "last" or "none".
        hidden: (..., D'), where ... is the shape of the ids.
        layout: where the sequences lie, none of them empty.
        mask: which tokens count for mean, max and none, (...); all when not given. A sequence in
            which none counts gets zeros.
        skip: tokens that stand before the "first" one, in sequences that have more.

    Returns:
        (B, D'); (B, 2 * D') for "mean_max"; (..., D') for "none", zeros where the mask is false.

    Source:
        bert-as-service 1.10.0, server/bert_serving/server/graph.py.
    """
    if kind == "mean_max":
        return torch.cat([pool(part, hidden, layout, mask) for part in ("mean", "max")], -1)
    if kind == "first" and skip:
        offsets = torch.where(layout.lengths() > skip, skip, 0)
        index = torch.stack([torch.arange(len(offsets), device=offsets.device), offsets], 1)
        return hidden.flatten(0, -2)[layout.rows(index)]
    return _KINDS[kind](hidden, layout, mask)


def normalize(vectors: Tensor) -> Tensor:
    """Scale vectors to length 1: (..., D') -> (..., D'). A zero vector stays as it is."""
    return F.normalize(vectors, dim=-1, eps=1e-12)


def _mean(hidden: Tensor, layout: Layout, mask: Tensor | None) -> Tensor:
    if mask is None:
        return layout.reduce(hidden, "mean")
    share = mask.to(hidden.dtype)
    total = layout.reduce(hidden * share[..., None], "sum")
    return total / (layout.reduce(share, "sum") + 1e-10)[:, None]


def _max(hidden: Tensor, layout: Layout, mask: Tensor | None) -> Tensor:
    if mask is None:
        return layout.reduce(hidden, "max")
    largest = layout.reduce(hidden - (~mask * FAR)[..., None], "max")
    return largest.masked_fill(largest <= -FAR / 2, 0.0)


def _first(hidden: Tensor, layout: Layout, mask: Tensor | None) -> Tensor:
    return layout.first(hidden)


def _last(hidden: Tensor, layout: Layout, mask: Tensor | None) -> Tensor:
    return layout.last(hidden)


def _none(hidden: Tensor, layout: Layout, mask: Tensor | None) -> Tensor:
    return hidden if mask is None else hidden * mask[..., None]


_KINDS: dict[str, Callable[[Tensor, Layout, Tensor | None], Tensor]] = {
    "mean": _mean,
    "max": _max,
    "first": _first,
    "last": _last,
    "none": _none,
}
