"""What training points at: the tokens of the right answers, in contexts and in windows.

Letters: Q questions, N windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.nn.names import IGNORE
from plainbert.tasks.squad.data import Question
from plainbert.text.offsets import TokenColumns

Ints = NDArray[np.int64]


def answer_tokens(
    questions: Sequence[Question], context: Ints, tokens: TokenColumns, texts: Sequence[str]
) -> Ints:
    """First and last token, in its context, of each question's answer; (Q, 2).

    The smallest run of tokens that covers the answer's characters. (-1, -1) where there is no
    answer; the first is above the last where its characters became no token.

    Args:
        questions: Q of them.
        context: row in ``texts`` of each question's context; (Q,).
        tokens: tokens of the contexts.
        texts: the different contexts.
    """
    # All contexts end to end on one axis, so that one search finds all answers. A character
    # between them keeps the last token of one apart from the first of the next.
    base = ragged.offsets([len(text) + 1 for text in texts])[:-1]
    shift = np.repeat(base, np.diff(tokens.offsets))
    targets = [None if question.impossible else question.target for question in questions]
    known = np.array([target is not None for target in targets])
    bounds = np.array([(target.start, target.end) for target in targets if target], np.int64)
    bounds = bounds.reshape(-1, 2) + base[context[known]][:, None]
    first = np.searchsorted(tokens.end + shift, bounds[:, 0], "right")
    last = np.searchsorted(tokens.start + shift, bounds[:, 1], "left") - 1
    spans = np.full((len(questions), 2), -1, np.int64)
    spans[known] = np.stack([first, last], 1) - tokens.offsets[context[known]][:, None]
    return spans


def window_labels(spans: Ints, begin: Ints, size: Ints, first: Ints) -> Ints:
    """Positions of the answers in their windows; (N, 2).

    (0, 0), the place of [CLS], where an answer is not wholly inside; IGNORE where it is no token.

    Args:
        spans: first and last token of the answer in the context of each window's question; (N, 2).
        begin: context token that each window begins with; (N,).
        size: context tokens of each window; (N,).
        first: place in the window of its first context token; (N,).
    """
    inside = (spans[:, 0] >= begin) & (spans[:, 1] < begin + size)
    labels: Ints = np.where(inside[:, None], spans + (first - begin)[:, None], 0)
    labels[spans[:, 0] > spans[:, 1]] = IGNORE
    return labels
