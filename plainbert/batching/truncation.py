"""How texts share the length limit: the longest loses tokens first.

Pre-training has the same rule for many pairs at once, in :mod:`plainbert.tasks.pretraining.plan`.
"""

from __future__ import annotations

from collections.abc import Sequence


def truncate(lengths: Sequence[int], budget: int) -> list[int]:
    """Tokens that each text keeps when together they may have ``budget``.

    The result of removing one token at a time from the longest text, the last one of those that
    are equally long.

    Example:
        >>> truncate([5, 9, 2], 10)
        [4, 4, 2]
    """
    kept = list(lengths)
    surplus = sum(kept) - budget
    while surplus > 0:
        longest = max(kept)
        ties = [place for place, length in enumerate(kept) if length == longest]
        below = max((length for length in kept if length < longest), default=0)
        rounds = min(longest - below, surplus // len(ties))
        for place in ties:
            kept[place] -= rounds
        surplus -= rounds * len(ties)
        if rounds == 0:  # less than one token each is left to take
            for place in ties[len(ties) - surplus :]:
                kept[place] -= 1
            break
    return kept
