"""Results in the order of the texts, which also make a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from plainbert.errors import MissingDependencyError, UsageError
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.ner.decode import Tagging
from plainbert.tasks.squad.decode import Answer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Match:
    """A text that is like another.

    Attributes:
        index: its place among the texts that were searched.
        score: how much it is alike.
        text: the text; "" where vectors were searched.
    """

    index: int
    score: float
    text: str = ""


class Results(list[Result]):
    """A list of results, in the order of the texts."""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of predictions: every label's probability of every text; (N, C).

        Raises:
            UsageError: the results are no predictions of a classifier.
        """
        rows = [item.array for item in self if isinstance(item, Prediction)]
        if len(rows) < len(self) or not all(map(len, rows)):
            raise UsageError("these results have no probabilities of labels.")
        return np.stack(rows) if rows else np.zeros((0, 0))

    def to_frame(self, words: bool = False) -> Any:
        """A DataFrame of pandas, with flat columns.

        Of a classifier a row for each text: label and score, or labels where a text may have
        several. Of a tagger a row for each entity, or for each word; "row" is that of the text. Of
        answers a row for each question.

        Args:
            words: of a tagger, a row for each word, not for each entity.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise MissingDependencyError("pandas", "", "a table of results") from None
        records = [record for row, item in enumerate(self) for record in _records(row, item, words)]
        return pandas.DataFrame(records)


def _records(row: int, item: Any, words: bool) -> Iterator[dict[str, Any]]:
    """The lines of one result."""
    if isinstance(item, Prediction):
        several = {} if item.labels is None else {"labels": ",".join(item.labels)}
        yield {"label": item.label, "score": item.score, **several}
    elif isinstance(item, Tagging):
        for part in item.words if words else item.entities:
            yield {"row": row, **vars(part)}
    elif isinstance(item, Answer):
        yield {
            "id": item.id,
            "text": item.text,
            "start": item.start,
            "end": item.end,
            "probability": item.probability,
        } | ({} if item.null_odds is None else {"null_odds": item.null_odds})
    else:
        yield dict(vars(item))
