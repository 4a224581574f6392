"""What a TensorFlow checkpoint itself does not say: sizes, heads, labels, casing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert import files
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, UsageError
from plainbert.formats.described import Described, check_heads, class_names, heads_of, with_head
from plainbert.formats.tensorflow.names import Variable
from plainbert.nn.names import head_of

if TYPE_CHECKING:
    from plainbert.formats.tensorflow.index import Entry

CONFIGS = ("bert_config.json", "config.json")
LETTERS = {
    "V": "vocab_size",
    "P": "max_position_embeddings",
    "T": "type_vocab_size",
    "D": "hidden_size",
    "F": "intermediate_size",
}


def describe(
    prefix: Path,
    variables: Sequence[tuple[Variable, Entry]],
    layers: int,
    head: str,
    num_heads: int | None,
    labels: Sequence[str] | None,
) -> Described:
    """The config of a checkpoint's model.

    Args:
        prefix: the checkpoint, whose neighbours are looked at.
        variables: what it holds of BERT.
        layers: number of encoder layers.
        head: a name of :data:`plainbert.nn.names.HEADS`.
        num_heads: attention heads; looked up or assumed when not given.
        labels: class names; the config's or placeholders when not given.

    Raises:
        CheckpointError: a shape does not fit the config, or another shape.
        UsageError: nothing says how many attention heads there are, or the labels do not fit.
    """
    beside = _config(prefix)
    stored = None if beside is None else BertConfig.from_file(beside)
    sizes = _sizes(prefix, variables, beside, stored)
    classes = sizes.pop("C", 0)
    named = {LETTERS[letter]: size for letter, size in sizes.items()}
    if layers < 1 or 0 in sizes.values():
        raise CheckpointError(f"{prefix}: its shapes make {layers} layers of sizes {named}.")
    if stored is not None and stored.num_hidden_layers != layers:
        raise CheckpointError(
            f"{beside} says num_hidden_layers={stored.num_hidden_layers}, but {prefix.name} holds "
            f"{layers}. They do not belong together."
        )
    assumed: list[str] = []
    if num_heads is None and stored is not None:
        num_heads = stored.num_attention_heads
    if num_heads is None:
        num_heads = heads_of(prefix, named["hidden_size"], "bert_config.json", assumed)
    check_heads(prefix, num_heads, named["hidden_size"])
    named |= {"num_hidden_layers": layers, "num_attention_heads": num_heads}
    if stored is None:
        assumed.append("hidden_act=gelu, layer_norm_eps=1e-12: Google's")
    config = (stored or BertConfig()).replace(**named)
    config = with_head(config, head, _labels(prefix, head, classes, labels, stored))
    return Described(config, _lower(prefix, config), tuple(assumed))


def stated_head(prefix: Path) -> str | None:
    """The head that the config beside a checkpoint names; Google's names none."""
    beside = _config(prefix)
    config = BertConfig() if beside is None else BertConfig.from_file(beside)
    for architecture in config.architectures:
        return head_of(architecture, config.problem_type, config.num_labels)
    return None


def _config(prefix: Path) -> Path | None:
    paths = [prefix.with_name(name) for name in CONFIGS]
    return next((path for path in paths if path.is_file()), None)


def _sizes(
    prefix: Path,
    variables: Sequence[tuple[Variable, Entry]],
    beside: Path | None,
    stored: BertConfig | None,
) -> dict[str, int]:
    """Every size by its letter, from the shapes, which must agree with the config.

    Raises:
        CheckpointError: they do not.
    """
    sizes = {"2": 2}
    origin = {"2": "every BERT"}
    if stored is not None:
        for letter, name in LETTERS.items():
            sizes[letter] = getattr(stored, name)
            origin[letter] = f"{name} in {beside}"
    for variable, entry in variables:
        if len(entry.shape) != len(variable.shape):
            raise CheckpointError(
                f"{prefix}: {variable.google} has shape {list(entry.shape)}; "
                f"{len(variable.shape)} dimensions are expected."
            )
        for axis, letter in enumerate(variable.shape):
            origin.setdefault(letter, variable.google)
            if sizes.setdefault(letter, entry.shape[axis]) != entry.shape[axis]:
                expected = [sizes.get(size_name, "any") for size_name in variable.shape]
                raise CheckpointError(
                    f"{prefix}: {variable.google} has shape {list(entry.shape)}; {expected} is "
                    f"expected ({sizes[letter]} by {origin[letter]})."
                )
    del sizes["2"]
    return sizes


def _labels(
    prefix: Path,
    head: str,
    classes: int,
    labels: Sequence[str] | None,
    stored: BertConfig | None,
) -> tuple[str, ...] | None:
    """Class names by id; None where the head has no classes of its own."""
    if head in ("regression", "multiple_choice") and classes != 1:
        raise UsageError(f"{prefix}: a head for {head} has one row; output_weights has {classes}.")
    if head not in ("classification", "regression", "token_classification"):
        return None
    if not classes:
        raise CheckpointError(f"{prefix}: output_weights has no rows.")
    return class_names(prefix, classes, labels, stored)


def _lower(prefix: Path, config: BertConfig) -> bool | None:
    """Casing by a config beside the checkpoint."""
    settings = prefix.with_name("tokenizer_config.json")
    stated = config.extra.get("do_lower_case")
    if settings.is_file():
        stated = files.read_json(settings).get("do_lower_case", stated)
    return stated if isinstance(stated, bool) else None
