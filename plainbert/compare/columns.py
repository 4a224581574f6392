"""Which columns of two heads' logits mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.compare.own import HEAD_OUTPUT
from plainbert.errors import CheckpointError
from plainbert.model_zoo import LoadedModel

Columns = tuple[NDArray[Any], NDArray[Any]]  # of the first and of the second model's logits


def matching(one: LoadedModel, other: LoadedModel) -> tuple[dict[str, Columns], list[str]]:
    """Columns to compare, by output, where they are not simply the same; and notes on that.

    Words are matched by token, so that vocabularies in another order, or with rows of no token,
    can be compared; classes by label, since the order of labels differs between systems.

    Raises:
        CheckpointError: the heads are for different numbers of classes.
    """
    columns: dict[str, Columns] = {}
    notes: list[str] = []
    words = ("masked_lm", "pretraining")
    if one.head in words and other.head in words:
        columns["MLM logits"] = _words(one, other)
        common = len(columns["MLM logits"][0])
        if not common == one.model.config.vocab_size == other.model.config.vocab_size:
            notes.append(f"MLM logits: the {common} tokens that both vocabularies have")
    if one.head == other.head and one.head in ("classification", "token_classification"):
        name = HEAD_OUTPUT[one.head]
        reordered = _labels(one, other)
        if reordered is not None:
            columns[name] = reordered
            notes.append(f"{name}: the labels have another order; matched by name")
        elif _stated(one) != _stated(other):
            notes.append(
                f"{name}: the labels are {', '.join(_stated(one))} and "
                f"{', '.join(_stated(other))}; compared by position"
            )
    return columns, notes


def _words(one: LoadedModel, other: LoadedModel) -> Columns:
    """Rows of the tokens that both vocabularies have; special tokens by what they are for."""
    first, second = one.tokenizer.vocab, other.tokenizer.vocab
    theirs = dict(second.rows)
    theirs.update(
        {
            token: second.rows[second.specials[role]]
            for role, token in first.specials.items()
            if role in second.specials
        }
    )
    both = [(row, theirs[token]) for token, row in first.rows.items() if token in theirs]
    pairs = np.array(both, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _labels(one: LoadedModel, other: LoadedModel) -> Columns | None:
    """Columns by label where both have the same labels in another order.

    Raises:
        CheckpointError: one has more classes than the other.
    """
    first, second = _stated(one), _stated(other)
    if len(first) != len(second):
        raise CheckpointError(
            f"{one.checkpoint.folder} has {len(first)} classes ({', '.join(first)}), "
            f"{other.checkpoint.folder} {len(second)} ({', '.join(second)}); only heads for the "
            "same classes can be compared."
        )
    folded = [[label.casefold() for label in labels] for labels in (first, second)]
    if first == second or sorted(folded[0]) != sorted(folded[1]):
        return None
    order = np.array([folded[1].index(label) for label in folded[0]])
    return np.arange(len(order)), order


def _stated(opened: LoadedModel) -> tuple[str, ...]:
    return opened.model.config.label_names
