"""What users get back of a classifier: a row for each text, which joins to what it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plainbert import files
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.classification.rows import PAIR, InputRow

PREFIX = "input_"  # before a column that is handed on and has the name of one of ours


def result_rows(
    rows: Sequence[InputRow],
    predictions: Sequence[Prediction],
    first: int = 0,
    typed: bool = False,
) -> list[dict[str, Any]]:
    """One row of a table of results for each row of the input.

    Args:
        rows: what was predicted on.
        predictions: one for each row.
        first: number of the first row, counted from 0 at the beginning of the input.
        typed: whether values that are no texts stay what they are, as in JSON; else they are
            written out in full.

    Returns:
        "text", "label", "labels" where a row may have several, the probability of each; then
        "row", "gold" where there is a column of right labels, and the columns handed on.
    """
    results = []
    for number, (row, prediction) in enumerate(zip(rows, predictions, strict=True), start=first):
        own: dict[str, Any] = {"text": PAIR.join(row.texts), "label": prediction.label}
        if prediction.labels is not None:
            own["labels"] = ",".join(prediction.labels)
        own |= {f"p({label})": share for label, share in prediction.probabilities.items()}
        own["row"] = number
        if row.gold is not None:
            own["gold"] = row.gold
        for name, value in row.others.items():
            own[f"{PREFIX}{name}" if name in own else name] = value if typed else _text(value)
        results.append(own)
    return results


def _text(value: Any) -> str:
    """A value of the input as it stands there."""
    if value is None:
        return ""
    return value if isinstance(value, str) else files.json_text(value)
