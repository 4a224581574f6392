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

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert.recipes.shared import blocks, command, flags, texts
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    GrowingOutputFlags,
    ProcessFlags,
    TextsFlags,
)

if TYPE_CHECKING:
    from plainbert.distributed.group import Group
    from plainbert.tasks.classification.decode import Prediction

NAME = "predict_classifier"
FORMS = (".tsv", ".jsonl")

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
    from plainbert.recipes.shared.ranks import deal, from_first, join
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.classification.decode import Prediction

    with join(settings) as group:
        # Standard input has one reader: rank 0 reads for all, before a model is opened.
        reader: blocks.BlockReader | None = None

        def begin() -> tuple[bool, list[tuple[str, ...]] | None]:
            nonlocal reader
            blocks.check(settings)
            if blocks.is_done(settings):
                return True, None
            reader = blocks.BlockReader(settings, settings.output)
            whole = settings.output is None or reader.is_single
            return False, reader.all() if whole else None

        is_done, every = from_first(group, begin)
        if is_done:
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
            bar = group.rank == 0 and every is not None
            predictions = model.predict(part, max_len=settings.max_len, bar=bar)
            return [prediction.as_dict() for prediction in predictions]

        def predict_all(rows: list[tuple[str, ...]]) -> list[Prediction]:
            return [Prediction.of(fields) for fields in deal(group, rows, predict)]

        if every is not None:
            rows = [tuple(row) for row in every]
            results = Predictions(rows, predict_all(rows), settings.output, group.rank)
            if settings.output is not None and group.rank == 0:
                assert results.predictions is not None
                suffix = Path(settings.output).suffix
                files.write_text(settings.output, lines(rows, results.predictions, suffix))
                blocks.discard(settings.output)
                log.info("%d predictions in %s", len(rows), settings.output)
            return results
        assert settings.output is not None
        key = {
            "tokens": [settings.max_len, settings.do_lower_case, settings.bert_dataset],
            "labels": settings.labels,
            "numbers": str(ready.precision),
            "weights": blocks.identity(model.checkpoint.folder),
        }
        work = (
            None if reader is None else blocks.BlockWork(settings.output, key, settings.overwrite)
        )
        with work or contextlib.nullcontext():
            _write_blocks(group, work, reader, predict_all)
    return Predictions(None, None, settings.output, group.rank)


def _write_blocks(
    group: Group,
    work: blocks.BlockWork | None,
    reader: blocks.BlockReader | None,
    predict: Callable[[list[tuple[str, ...]]], list[Prediction]],
) -> None:
    """Predict the blocks that are not done yet, and write the file of all.

    Args:
        group: the ranks, which share each block.
        work: the work on the file, on rank 0; None elsewhere, as the reader.
        reader: the rows.
        predict: rows in, predictions out, on all ranks together.
    """
    from plainbert.infer.finite import NotFiniteError
    from plainbert.recipes.shared.ranks import from_first

    pending = iter(()) if work is None or reader is None else work.pending(reader)
    while (block := from_first(group, lambda: next(pending, None))) is not None:
        rows = [tuple(row) for row in block]
        with blocks.numbered(0 if work is None else work.done, NotFiniteError):
            predictions = predict(rows)
        if work is not None:
            text = lines(rows, predictions, work.output.suffix, header=not work.done)
            work.add({"lines": text.encode("utf-8", "backslashreplace")})
    if work is not None:
        count = work.done
        work.finish(lambda growing, path: growing.publish("lines", path))
        log.info("%d predictions in %s", count, work.output)


def report(results: Predictions) -> None:
    """Print the table that is in no file."""
    if results.rank == 0 and results.output is None:
        assert results.rows is not None
        assert results.predictions is not None
        print(lines(results.rows, results.predictions, ".tsv"), end="")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    return {"predictions": command.carry_out(NAME, argv, parse_args, run, report).predictions}
