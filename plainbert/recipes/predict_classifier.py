r"""Predict with a fine-tuned classifier: a label and the probability of every label, per row.

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best \
        --sentences "Are we still on for lunch?" "You have WON a prize, call now"

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best --file texts.txt \
        --output predictions.tsv

    cat rows.tsv | python scripts/bert/predict_classifier.py --model_dir runs/mrpc/best --file - \
        --text_columns 0,1 --output predictions.jsonl

A line of --file is a text, "first ||| second" a pair; with --text_columns, or for a .tsv, .csv or
.jsonl file, the texts are in columns. Every row gets an answer, in the order of the input, with
its number counted from 0. Without --output the table is printed.

What joins predictions to data, and how many of them are right:

    python scripts/bert/predict_classifier.py --model_dir runs/spam/best --file rows.csv \
        --text_columns text --keep_columns id,date --label_column label --output predictions.csv

A long file goes through block by block, to --output. If that is interrupted, the same command with
--resume goes on behind the rows that are done, and the file is the same.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert.cli import values
from plainbert.cli.settings import option
from plainbert.recipes.shared import blocks, command, flags, texts
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.results import line_of
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    GrowingOutputFlags,
    ProcessFlags,
    TextsFlags,
)
from plainbert.tasks.classification.rows import InputRow

if TYPE_CHECKING:
    from plainbert.recipes.shared.classifier_work import ClassifierWork
    from plainbert.recipes.shared.ranked_blocks import RankedWork
    from plainbert.tasks.classification.decode import Prediction
    from plainbert.tasks.reports import SetScores

NAME = "predict_classifier"
FORMS = (".tsv", ".csv", ".jsonl")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(ProcessFlags, GrowingOutputFlags, TextsFlags, CheckpointFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: a model, and texts from one of two places": ("model_dir", "sentences", "file"),
        "what people set": ("text_columns", "max_len", "labels", "gpu", "dtype"),
        "output": ("output", "overwrite", "resume"),
    }
    UNSET: ClassVar = {
        "file": "required without --sentences",
        "sentences": "required without --file",
        "max_len": "that of the training, else what the model takes",
    }

    model_dir: str
    labels: tuple[str, ...] | None = None
    max_len: int | None = None
    keep_columns: tuple[str, ...] = option(
        (),
        values.names,
        "Columns of --file to write beside the predictions, by name or number from 0, between "
        "commas; all: every one that is neither text nor label.",
        group="data",
        metavar="A[,B...]",
    )
    label_column: str | None = option(
        None,
        str,
        "Column of --file that holds the right label, by name or number from 0: it stands beside "
        'the prediction as "gold", and the predictions are scored.',
        group="data",
        metavar="NAME",
    )

    def checked(self) -> Self:
        settings = super().checked()
        self.check_texts()
        self.needs("keep_columns", "file")
        self.needs("label_column", "file")
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
        table: what goes to standard output; "" where there is a file.
        scores: how good the predictions are; None where there is no right label.
    """

    rows: list[tuple[str, ...]] | None
    predictions: list[Prediction] | None
    output: str | None
    rank: int
    table: str = ""
    scores: SetScores | None = None


def lines(
    rows: Sequence[InputRow],
    predictions: Sequence[Prediction],
    suffix: str,
    first: int = 0,
) -> str:
    """One line for each row, as .tsv, .csv or .jsonl.

    Args:
        rows: what was predicted on.
        predictions: one for each row.
        suffix: of the form.
        first: number of the first row; the table begins with its header where that is 0.
    """
    from plainbert.containers.tables import table
    from plainbert.tasks.classification.result_files import result_rows

    typed = suffix == ".jsonl"
    return table(result_rows(rows, predictions, first, typed), suffix, header=not first)


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def run(settings: Settings) -> Predictions:
    """Predict every row, and write the table where ``--output`` says."""
    from plainbert import files
    from plainbert.model import load
    from plainbert.recipes.shared import ranked_blocks
    from plainbert.recipes.shared.classifier_work import ClassifierWork
    from plainbert.recipes.shared.ranks import join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.classification.scores import require

    def stream(settings: TextsFlags) -> Iterator[InputRow]:
        return texts.rows(settings, label, keep)

    label, keep = settings.label_column, settings.keep_columns
    if label is not None:
        require()
    with join(settings) as group:
        input_rows = ranked_blocks.read(
            settings, group, lambda: blocks.BlockReader(settings, settings.output, stream)
        )
        if input_rows.is_done:
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
        work = ClassifierWork(model, group, settings.max_len, is_scored=label is not None)
        if input_rows.whole is not None:
            rows = [InputRow.of(row) for row in input_rows.whole]
            predictions = work.predict(rows, bar=True)
            scores = work.score(work.pairs(rows, predictions))
            content = ""
            if group.rank == 0:
                suffix = ".tsv" if settings.output is None else Path(settings.output).suffix
                content = lines(rows, predictions, suffix)
            if settings.output is not None and group.rank == 0:
                files.write_text(settings.output, content)
                blocks.discard(settings.output)
                log.info("%d predictions in %s", len(rows), settings.output)
                content = ""
            row_texts = [row.texts for row in rows]
            return Predictions(row_texts, predictions, settings.output, group.rank, content, scores)
        key = {
            "tokens": [settings.max_len, settings.do_lower_case, settings.bert_dataset],
            "labels": settings.labels,
            "columns": [settings.text_columns, label, keep],
            "numbers": str(ready.precision),
            "weights": blocks.identity(model.checkpoint.folder),
        }
        with ranked_blocks.RankedWork(settings, group, input_rows.reader, key) as file:
            scores = _write_blocks(work, file, Path(settings.output or "").suffix)
    return Predictions(None, None, settings.output, group.rank, scores=scores)


def _write_blocks(work: ClassifierWork, file: RankedWork, suffix: str) -> SetScores | None:
    """Predict the blocks that are not done yet, and write the file of all.

    Args:
        work: predicts.
        file: the work on the file.
        suffix: of its name.
    """
    work.notes = dataclasses.replace(work.notes, **file.state.get("notes", {}))
    if work.tally is not None:
        work.tally.unscored.update(file.state.get("unscored", {}))

    def predict(block: list[blocks.Row]) -> list[Prediction]:
        return work.predict([InputRow.of(row) for row in block])

    for block, predictions in file.results(predict):
        rows = [InputRow.of(row) for row in block]
        pairs = work.pairs(rows, predictions)
        file.add(
            lines(rows, predictions, suffix, file.done),
            {} if pairs is None else {"pairs": pairs.tobytes()},
            notes=dataclasses.asdict(work.notes),
            unscored={} if work.tally is None else dict(work.tally.unscored),
        )
    kept = None if work.tally is None else file.part("pairs")
    file.finish()
    if work.tally is None or kept is None:
        return work.score(None)
    return work.score(work.tally.scoring.of_bytes(kept))


def report(results: Predictions) -> None:
    """Print the table that is in no file, and the scores; those go to the log beside a table."""
    if results.rank > 0:
        return
    print(results.table, end="")
    if results.scores is not None:
        if results.output is None:
            log.info("%s", report_of(results.scores))
        else:
            print(report_of(results.scores))


def report_of(scores: SetScores) -> str:
    """Scores and the tables of the classes."""
    from plainbert.tasks.reports import format_scores

    line = f"scores ({scores.rows} rows): {line_of(scores.scores)}"
    return "\n\n".join(filter(None, [line, format_scores(scores)]))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    results = command.carry_out(NAME, argv, parse_args, run, report)
    scores = {} if results.scores is None else results.scores.scores
    return {"predictions": results.predictions, "scores": scores}
