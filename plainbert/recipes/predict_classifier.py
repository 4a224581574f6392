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

A long file goes through block by block, to --output. If that is interrupted, the same command with
--resume goes on behind the rows that are done, and the file is the same.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from plainbert.recipes.shared import blocks, command, flags, texts
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    GrowingOutputFlags,
    ProcessFlags,
    TextsFlags,
)

if TYPE_CHECKING:
    from plainbert.tasks.classification.decode import Prediction

NAME = "predict_classifier"
FORMS = (".tsv", ".jsonl")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ProcessFlags, GrowingOutputFlags, TextsFlags, CheckpointFlags):
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
        rows: one or two texts each; None where they are more than one block, or none is left to
            do, and all is in ``output`` alone.
        predictions: one for each row; None where ``rows`` is.
        output: file with the table; None where there is none.
        rank: of this process, of which rank 0 speaks for all.
    """

    rows: list[tuple[str, ...]] | None
    predictions: list[Prediction] | None
    output: str | None
    rank: int


def lines(
    rows: Sequence[tuple[str, ...]],
    predictions: Sequence[Prediction],
    suffix: str,
    header: bool = True,
) -> str:
    """One line for each row, as .tsv or .jsonl.

    Args:
        rows: one or two texts each.
        predictions: one for each row.
        suffix: of the form.
        header: whether a .tsv begins with the names of its columns.
    """
    from plainbert.containers.tables import table

    cells = [
        {"text": texts.join(row), "label": prediction.label}
        | ({} if prediction.labels is None else {"labels": ",".join(prediction.labels)})
        | {f"p({label})": share for label, share in prediction.probabilities.items()}
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    return table(cells, suffix, header)


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def run(settings: Settings) -> Predictions:
    """Predict every row, and write the table where ``--output`` says."""
    from plainbert import files
    from plainbert.model import load
    from plainbert.recipes.shared import ranked_blocks
    from plainbert.recipes.shared.ranks import deal, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.classification.decode import Prediction

    with join(settings) as group:
        read = ranked_blocks.read(
            settings, group, lambda: blocks.BlockReader(settings, settings.output)
        )
        if read.is_done:
            return Predictions(None, None, settings.output, group.rank)
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
            bar = group.rank == 0 and read.whole is not None
            predictions = model.predict(part, max_len=settings.max_len, bar=bar)
            return [dataclasses.asdict(prediction) for prediction in predictions]

        def predict_all(rows: list[tuple[str, ...]]) -> list[Prediction]:
            return [Prediction.of(fields) for fields in deal(group, rows, predict)]

        if read.whole is not None:
            predictions = predict_all(read.whole)
            if settings.output is not None and group.rank == 0:
                suffix = Path(settings.output).suffix
                files.write_text(settings.output, lines(read.whole, predictions, suffix))
                blocks.discard(settings.output)
                log.info("%d predictions in %s", len(predictions), settings.output)
            return Predictions(read.whole, predictions, settings.output, group.rank)
        assert settings.output is not None
        suffix = Path(settings.output).suffix
        key = {
            "tokens": [settings.max_len, settings.do_lower_case, settings.bert_dataset],
            "labels": settings.labels,
            "numbers": str(ready.precision),
            "weights": blocks.identity(model.checkpoint.folder),
        }
        ranked_blocks.write(
            settings,
            group,
            read.reader,
            key,
            predict_all,
            lambda rows, predictions, is_first: lines(rows, predictions, suffix, is_first),
        )
    return Predictions(None, None, settings.output, group.rank)


def report(results: Predictions) -> None:
    """Print the table that is in no file."""
    if results.rank == 0 and results.output is None:
        assert results.rows is not None
        assert results.predictions is not None
        print(lines(results.rows, results.predictions, ".tsv"), end="")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    return {"predictions": command.carry_out(NAME, argv, parse_args, run, report).predictions}
