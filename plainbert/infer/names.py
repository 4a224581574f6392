"""The ways from token vectors to one sentence vector, by name, without torch."""

from __future__ import annotations

from plainbert.errors import UnknownNameError

# What a user may type -> what it does. The names in capitals are bert-as-service's, the short ones
# sentence-transformers'.
POOLINGS = {
    "NONE": "none",
    "REDUCE_MAX": "max",
    "REDUCE_MEAN": "mean",
    "REDUCE_MEAN_MAX": "mean_max",
    "FIRST_TOKEN": "first",
    "CLS_TOKEN": "first",
    "LAST_TOKEN": "last",
    "SEP_TOKEN": "last",
    "CLS_POOLED": "pooled",
    "mean": "mean",
    "max": "max",
    "cls": "first",
}
# bert-as-service's protocol states the pooling by its number.
NUMBERS = {"none": 0, "max": 1, "mean": 2, "mean_max": 3, "first": 4, "last": 5, "pooled": 6}


def kind_of(name: str) -> str:
    """What a pooling of this name does, a key of ``NUMBERS``; the case does not matter.

    Raises:
        UnknownNameError: there is no such pooling.
    """
    folded = {known.casefold(): kind for known, kind in POOLINGS.items()}
    if name.casefold() not in folded:
        raise UnknownNameError("pooling", name, POOLINGS)
    return folded[name.casefold()]
