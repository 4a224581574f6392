"""What no foreign weight file says, and how it is settled: attention heads, classes, the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plainbert.config import BertConfig, placeholders
from plainbert.errors import UsageError
from plainbert.nn.names import HEADS, problem_type_of


@dataclass(frozen=True)
class Described:
    """A config and what had to be guessed for it; ``lower`` as in ``Foreign``."""

    config: BertConfig
    lower: bool | None
    assumed: tuple[str, ...]


def heads_of(path: Path, units: int, config: str, assumed: list[str]) -> int:
    """One attention head for every 64 units, as in every published BERT.

    Args:
        path: the weights, for the message.
        units: width of the model.
        config: the file beside it that could have said the number.
        assumed: gets a line about the guess.

    Raises:
        UsageError: 64 does not divide the width.
    """
    if units % 64:
        raise UsageError(
            f"{path} does not say how many attention heads its {units} units form, and no "
            f"{config} lies beside it. Give convert_checkpoint.py --num_heads, then use what it "
            "writes."
        )
    assumed.append(f"num_attention_heads={units // 64}: units / 64")
    return units // 64


def check_heads(path: Path, num_heads: int, units: int) -> None:
    """Refuse a number of heads that does not divide the width.

    Raises:
        UsageError: it does not.
    """
    if num_heads < 1 or units % num_heads:
        raise UsageError(
            f"{path}: {num_heads} attention heads do not divide its {units} units. Give "
            "convert_checkpoint.py another --num_heads."
        )


def class_names(
    path: Path, classes: int, labels: Sequence[str] | None, stored: BertConfig | None
) -> tuple[str, ...]:
    """Names of the classes by id: those given, the config's, or placeholders.

    Raises:
        UsageError: another number of names was given than there are classes.
    """
    if labels is not None and len(labels) != classes:
        raise UsageError(
            f"{path} has {classes} classes, but {len(labels)} labels were given: "
            f"{', '.join(labels)}. Give one name per class, in the order of training."
        )
    if labels is not None:
        return tuple(labels)
    if stored is not None and stored.id2label is not None and stored.num_labels == classes:
        return stored.id2label
    return placeholders(classes)


def with_head(config: BertConfig, head: str, id2label: tuple[str, ...] | None) -> BertConfig:
    """The config of a model with a head; one of several labels per text stays that."""
    return config.replace(
        architectures=(HEADS[head].architecture,),
        problem_type=problem_type_of(head, config.problem_type),
        id2label=id2label,
    )
