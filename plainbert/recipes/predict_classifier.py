r"""Predict with a fine-tuned classifier: a label and the probability of every label, per row.

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best \
        --sentences "Are we still on for lunch?" "You have WON a prize, call now"

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best --file texts.txt \
        --output predictions.tsv

    cat rows.tsv | python scripts/bert/predict_classifier.py --model_dir runs/mrpc/best --file - \
        --text_columns 0,1 --output predictions.jsonl

A line of --file is a text, "first ||| second" a pair; with --text_columns, or for a .tsv, .csv or
.jsonl file, the texts are in columns. Every row gets an answer, in the order of the input. Without
--output the table is printed.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from plainbert.recipes.shared import command, flags, texts
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    OutputFlags,
    ProcessFlags,
    TextsFlags,
)

if TYPE_CHECKING:
    from plainbert.tasks.classification.decode import Prediction

NAME = "predict_classifier"
FORMS = (".tsv", ".jsonl")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ProcessFlags, OutputFlags, TextsFlags, CheckpointFlags):
    """The flags, with their documented defaults."""

    model_dir: str
    labels: tuple[str, ...] | None = None
    max_len: int | None = None

    def checked(self) -> Self:
        settings = super().checked()
        self.check_texts()
        self.check_output(FORMS)
        return settings


@dataclass(frozen=True)
class Predictions:
    """What the recipe returns.

    Attributes:
        rows: one or two texts each.
        predictions: one for each row.
        output: file with the table; None where there is none.
        rank: of this process, of which rank 0 speaks for all.
    """

    rows: list[tuple[str, ...]]
    predictions: list[Prediction]
    output: str | None
    rank: int

    def table(self, suffix: str) -> str:
        """One line for each row, as .tsv or .jsonl."""
        from plainbert.containers.tables import table

        rows = [
            {"text": texts.join(row), "label": prediction.label}
            | ({} if prediction.labels is None else {"labels": ",".join(prediction.labels)})
            | {f"p({label})": share for label, share in prediction.probabilities.items()}
            for row, prediction in zip(self.rows, self.predictions, strict=True)
        ]
        return table(rows, suffix)


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def run(settings: Settings) -> Predictions:
    """Predict every row, and write the table where ``--output`` says."""
    from plainbert import files
    from plainbert.model import load
    from plainbert.recipes.shared.ranks import deal, from_first, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.classification.decode import Prediction

    with join(settings) as group:
        # Standard input has one reader: rank 0 reads for all, before a model is opened.
        rows = [tuple(row) for row in from_first(group, lambda: texts.read(settings))]
        ready = start(settings, group=group)
        model = load(
            settings.model_dir,
            dtype=ready.precision,
            device=ready.device,
            lower=settings.do_lower_case,
            labels=settings.labels,
            dataset_name=settings.bert_dataset,
        )

        def predict(part: list[tuple[str, ...]]) -> list[Any]:
            predictions = model.predict(part, max_len=settings.max_len, bar=group.rank == 0)
            return [dataclasses.asdict(prediction) for prediction in predictions]

        predictions = [Prediction.of(fields) for fields in deal(group, rows, predict)]
    results = Predictions(rows, predictions, settings.output, group.rank)
    if settings.output is not None and group.rank == 0:
        files.write_text(settings.output, results.table(Path(settings.output).suffix))
        log.info("%d predictions in %s", len(rows), settings.output)
    return results


def report(results: Predictions) -> None:
    """Print the table that is in no file."""
    if results.rank == 0 and results.output is None:
        print(results.table(".tsv"), end="")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    return {"predictions": command.carry_out(NAME, argv, parse_args, run, report).predictions}
