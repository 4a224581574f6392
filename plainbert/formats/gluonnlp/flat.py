"""Flat names: what ``save_params``, ``collect_params().save`` and exports call the weights.

Such a name is the path of prefixes that gluon made up in that process, such as
``bertencoder0_transformer1_proj_weight``. The encoder's prefix is taken from its position weight
and the model's from its word embedding; the rest is told by the end of the name.

Source:
    names seen in files of GluonNLP 0.6.0, 0.7.1, 0.8.3, 0.9.2 and 0.10.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from plainbert.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_KIND = r"(?P<kind>weight|bias)"
_NORM = r"(?:bert)?layernorm\d+_(?P<kind>gamma|beta)"
_FFN = r"(?:bert)?positionwiseffn\d+_"
_ENCODER = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"position_weight", "position_weight"),
        (_NORM, "layer_norm.{kind}"),
        (
            r"transformer(?P<n>\d+)_(?:dotproductself|multihead)attentioncell\d+_"
            rf"(?P<part>query|key|value)_{_KIND}",
            "transformer_cells.{n}.attention_cell.proj_{part}.{kind}",
        ),
        (rf"transformer(?P<n>\d+)_proj_{_KIND}", "transformer_cells.{n}.proj.{kind}"),
        (
            rf"transformer(?P<n>\d+)_{_FFN}(?P<part>ffn_[12])_{_KIND}",
            "transformer_cells.{n}.ffn.{part}.{kind}",
        ),
        (rf"transformer(?P<n>\d+)_{_FFN}{_NORM}", "transformer_cells.{n}.ffn.layer_norm.{kind}"),
        (rf"transformer(?P<n>\d+)_{_NORM}", "transformer_cells.{n}.layer_norm.{kind}"),
    )
)
_MODEL = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"word_embed_embedding\d+_weight", "word_embed.0.weight"),
        (r"word_embed_embedding\d+_bias", "decoder.3.bias"),  # it is in the tied layer's scope
        (r"token_type_embed_embedding\d+_weight", "token_type_embed.0.weight"),
        (rf"pooler_{_KIND}", "pooler.{kind}"),
        (rf"cls_{_KIND}", "classifier.{kind}"),
        (rf"dense\d+_{_KIND}", "decoder.0.{kind}"),
        (_NORM, "decoder.2.{kind}"),
    )
)
# Queries, keys and values in one, as plainbert may export them.
_JOINED = re.compile(rf"(?P<cell>.*attentioncell\d+_)interleaved_{_KIND}")
_WORDS = re.compile(r"(.*)word_embed_embedding\d+_weight")
_HEAD = re.compile(rf"(?P<net>.*?)dense\d+_{_KIND}")
# What the class of the net is called in GluonNLP's scripts, in its prefix.
_NETS = (
    (re.compile(r"qa|span|squad"), "span_classifier"),
    (re.compile(r"tag|ner"), "tag_classifier"),
    (re.compile(r"regress"), "regression.1"),
)


def is_flat(names: Iterable[str]) -> bool:
    """Whether these are flat names: MXNet too looks for a dot."""
    return not any("." in name for name in names)


def parted(arrays: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """Cut interleaved matrices and biases into three.

    Returns:
        arrays under the names of separate ones, but with their rows as they lay; and whether there
        were any to cut.
    """
    parts: dict[str, Tensor] = {}
    for name, array in arrays.items():
        match = _JOINED.fullmatch(name)
        if match is None or array.dim() == 0:
            parts[name] = array
            continue
        for part, third in zip(("query", "key", "value"), array.tensor_split(3), strict=True):
            parts[f"{match['cell']}{part}_{match['kind']}"] = third
    return parts, len(parts) > len(arrays)


def to_structural(names: Iterable[str], source: str) -> dict[str, str]:
    """Structural names of a file's flat names; a name without one is left out.

    Raises:
        CheckpointError: the file holds no BERT, or several.
    """
    names = list(names)
    encoder = _one(
        [n.removesuffix("position_weight") for n in names if n.endswith("position_weight")],
        "position_weight",
        source,
    )
    model = _one(
        [words[1] for n in names if (words := _WORDS.fullmatch(n))],
        "word_embed_embedding0_weight",
        source,
    )
    structural: dict[str, str] = {}
    heads: dict[str, str] = {}
    for name in names:
        target = None
        if name.startswith(encoder):
            target = _translate(name.removeprefix(encoder), _ENCODER)
            target = target and f"encoder.{target}"
        if target is None and name.startswith(model):
            target = _translate(name.removeprefix(model), _MODEL)
        if target is not None:
            structural[name] = target
        elif (head := _HEAD.fullmatch(name)) is not None:
            heads[name] = f"{_task(head['net'])}.{head['kind']}"
    if not heads:
        return structural
    # A model for a task: its BERT lies under bert., where "classifier" still means next sentence.
    return {name: f"bert.{target}" for name, target in structural.items()} | heads


def _one(prefixes: list[str], what: str, source: str) -> str:
    if len(prefixes) != 1:
        raise CheckpointError(
            f"{source} holds {len(prefixes)} arrays whose name ends with {what}; exactly one is "
            "expected in a BERT of GluonNLP."
        )
    return prefixes[0]


def _translate(rest: str, rules: tuple[tuple[re.Pattern[str], str], ...]) -> str | None:
    for pattern, target in rules:
        if (match := pattern.fullmatch(rest)) is not None:
            return target.format(**match.groupdict())
    return None


def _task(net: str) -> str:
    """The structural name of the last layer of a net, by the net's own prefix."""
    return next((name for pattern, name in _NETS if pattern.search(net)), "classifier.1")
