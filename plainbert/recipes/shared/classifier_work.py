"""Rows through a classifier, shared by ranks; what is to be said of them at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plainbert.batching.notes import TextNotes
from plainbert.distributed.group import Group
from plainbert.evaluation import scoring_of
from plainbert.model import Model
from plainbert.recipes.shared.ranks import deal
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.classification.labelled import Pairs, Tally
from plainbert.tasks.classification.predict import checked, predict
from plainbert.tasks.classification.rows import InputRow
from plainbert.tasks.reports import SetScores


class ClassifierWork:
    """Predicts rows on all ranks together, and counts what is to be said at the end.

    Args:
        model: a classifier or regressor.
        group: the ranks, which share the rows.
        max_len: tokens kept per text; the folder's limit when not given.
        is_scored: whether the rows have right labels.
    """

    def __init__(self, model: Model, group: Group, max_len: int | None, is_scored: bool) -> None:
        self.model, self.group = model, group
        self.limit = model.max_len if max_len is None else max_len
        self.name = str(model.checkpoint.folder)
        self.notes = TextNotes()
        classifier = checked(model.model, self.name)
        self.tally = Tally(scoring_of(classifier, model.labels)) if is_scored else None

    def predict(self, rows: Sequence[InputRow], bar: bool = False) -> list[Prediction]:
        """What the model says of each row.

        Args:
            rows: equal on every rank.
            bar: show progress.
        """
        model, group = self.model, self.group
        notes = TextNotes()

        def work(part: list[tuple[str, ...]]) -> list[Any]:
            predictions = predict(
                model.model,
                model.tokenizer,
                part,
                model.labels,
                self.limit,
                name=self.name,
                bar=bar and group.rank == 0,
                notes=notes,
            )
            return [prediction.as_dict() for prediction in predictions]

        row_texts = [row.texts for row in rows]
        fields = deal(group, row_texts, work)
        cut = notes.cut if group.size == 1 else sum(group.gather(notes.cut))
        self.notes.add(row_texts, cut)
        return [Prediction.of(values) for values in fields]

    def pairs(self, rows: Sequence[InputRow], predictions: Sequence[Prediction]) -> Pairs | None:
        """What the scores need of some rows; None where there is no right label."""
        if self.tally is None:
            return None
        return self.tally.pairs(predictions, [row.gold for row in rows])

    def score(self, pairs: Pairs | None) -> SetScores | None:
        """Say on rank 0 what there is to say of the texts, and score them.

        Args:
            pairs: of all rows; None where there is no right label.
        """
        if self.group.rank > 0:
            return None
        self.notes.report(self.limit)
        self.notes.report_kind(self.model.checkpoint.about.get("texts"), self.name)
        return None if self.tally is None or pairs is None else self.tally.score(pairs)
