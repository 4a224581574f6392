r"""Score a fine-tuned model on a labelled file: classes, quantities, entities or answers.

Rows with a label (.tsv, .csv, .jsonl with a header), for a classifier or a regression:

    python scripts/bert/evaluate.py --model_dir runs/spam/best --file test.tsv \
        --text_columns text --label_column label

Words and their tags, for a tagger; questions and their answers, in SQuAD's form:

    python scripts/bert/evaluate.py --model_dir runs/ner/best --file test.conll
    python scripts/bert/evaluate.py --model_dir runs/squad/best --file dev.json --output scores.json

The model says what is scored. Printed are the scores of the whole file (accuracy, macro and micro
F1; Pearson, Spearman and the mean squared error; entity F1 as seqeval counts it; exact match and
F1 as the official scripts count them), those of every class or type, and which classes are taken
for which. --output has all of it as JSON; --output_dir gets eval_results.json and report.json, in
the form of a training run. A label that the model does not know is an error.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from plainbert import files
from plainbert.cli import program, values
from plainbert.cli.parser import REQUIRED
from plainbert.cli.settings import option
from plainbert.errors import DataError, UsageError
from plainbert.recipes.shared import command, flags
from plainbert.recipes.shared.flag_tables import helped
from plainbert.recipes.shared.results import line_of
from plainbert.recipes.shared.settings import (
    CheckpointFlags,
    DeviceFlags,
    FolderFlags,
    OutputFlags,
)
from plainbert.tasks.ner.flags import ColumnFlags
from plainbert.tasks.squad.flags import ScoringFlags

if TYPE_CHECKING:
    from plainbert.checkpoint import Checkpoint
    from plainbert.model import Model
    from plainbert.tasks.reports import SetScores

NAME = "evaluate"
FORMS = (".json",)
REPORT_FILE = "report.json"
CONFUSION_FILE = "confusion.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings(DeviceFlags, FolderFlags, OutputFlags, ScoringFlags, ColumnFlags, CheckpointFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required": ("model_dir", "file"),
        "what people set": ("text_columns", "label_column", "word_column", "tag_column",
                            "version_2", "max_eval_samples", "max_len", "gpu", "dtype"),
        "output": ("output", "output_dir", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {"max_len": "that of the training, else all", "output_dir": "none"}

    model_dir: str
    file: str = option(
        REQUIRED,
        values.path,
        "Rows with labels (.tsv, .csv, .jsonl), tagged sentences (CoNLL), or questions with "
        "answers (SQuAD's JSON), as the model is; - is standard input.",
        group="data",
        metavar="FILE",
    )
    text_columns: tuple[str, ...] | None = None
    label_column: str = option(
        "label", str, "Column of the right label, by name or number.", group="data", metavar="NAME"
    )
    labels: tuple[str, ...] | None = None
    max_len: int | None = None
    num_workers: int = 0
    max_eval_samples: int | None = helped(
        "max_eval_samples", "Score only the first N rows, sentences or questions.", None
    )
    output: str | None = helped("output", "File for the scores and tables (.json).", None)
    output_dir: str | None = helped(
        "output_dir",
        "Folder to write eval_results.json and report.json into, as a training run does.",
        None,
    )
    overwrite: bool = helped(
        "overwrite", "Replace the files of an earlier --output_dir or --output.", False
    )

    def checked(self) -> Self:
        settings = super().checked()
        self.exclusive("output", "output_dir")
        self.check_output(FORMS)
        return settings


@dataclass(frozen=True)
class Evaluated:
    """What the recipe returns.

    Attributes:
        name: of the file, as ``eval_results.json`` calls it.
        results: the scores and tables.
    """

    name: str
    results: SetScores


@dataclass(frozen=True)
class LabelledSet:
    """What a file holds.

    Attributes:
        rows: texts and pairs, tuples of words, or questions.
        gold: label of each row, tags of each sentence; None for questions, which have answers.
    """

    rows: list[Any]
    gold: list[Any] | None


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv)


def read(settings: Settings, stored: Checkpoint) -> LabelledSet:
    """The rows of ``--file``, as the model needs them.

    Args:
        settings: name the file and its columns.
        stored: what the folder of the model says.

    Raises:
        DataError: a row cannot be used, or has a label that the model does not know.
        UsageError: the model has no head that could be scored.
    """
    readers = {
        "classification": _rows,
        "regression": _rows,
        "token_classification": _sentences,
        "question_answering": _questions,
    }
    if stored.head not in readers:
        has = "no head" if stored.head in (None, "embedding") else f"a {stored.head} head"
        raise UsageError(
            f"{stored.folder} has {has}: a classifier, a regressor, a tagger or a model that "
            f"answers questions can be scored. {program.command('finetune_classifier')} trains one."
        )
    return readers[stored.head](settings, stored)


def _rows(settings: Settings, stored: Checkpoint) -> LabelledSet:
    from plainbert.nn.names import MULTI_LABEL
    from plainbert.tasks.classification import columns
    from plainbert.tasks.classification.labelled import LabelScoring
    from plainbert.tasks.classification.scores import require

    require()
    several = stored.head == "classification" and stored.config.problem_type == MULTI_LABEL
    labels = () if stored.head == "regression" else settings.labels or stored.config.label_names
    texts = columns.parse(settings.text_columns)
    # An empty cell of several labels says that none applies.
    rows = itertools.islice(
        columns.read(settings.file, texts, settings.label_column, need_label=not several),
        settings.max_eval_samples,
    )
    records = list(rows)
    if any(record.label is None for record in records):
        raise DataError(f"has no column {settings.label_column!r}.", settings.file)
    gold = [record.label or "" for record in records]
    scoring = LabelScoring(tuple(labels), several)
    scoring.check(gold, settings.file, [record.line for record in records])
    return LabelledSet([record.texts for record in records], gold)


def _sentences(settings: Settings, stored: Checkpoint) -> LabelledSet:
    from plainbert.evaluation import check_tags
    from plainbert.tasks.ner import evaluate as tagging
    from plainbert.tasks.ner.scores import require
    from plainbert.tasks.ner.tags import TagSet

    require()
    data = tagging.read(settings.file, settings.max_eval_samples, columns=settings.columns)
    tagging.describe(data)
    gold = [sentence.tags or () for sentence in data.sentences]
    labels = settings.labels or stored.config.id2label
    if labels:
        check_tags(gold, TagSet.trained(labels, stored.about.get("tag_scheme")), settings.file)
    return LabelledSet([sentence.words for sentence in data.sentences], gold)


def _questions(settings: Settings, stored: Checkpoint) -> LabelledSet:
    from plainbert.tasks.squad import evaluate as answers
    from plainbert.tasks.squad import files as squad_files

    squad = squad_files.read(settings.file).first(settings.max_eval_samples)
    squad.report()
    null = settings.version_2 or bool(stored.about.get("version_2"))
    if not answers.gold_of(squad, null):
        raise DataError("no question has a right answer to be scored by.", settings.file)
    return LabelledSet(squad.questions, None)


def score(settings: Settings, model: Model, data: LabelledSet) -> SetScores:
    """Predict every row, and compare.

    Args:
        settings: how long rows may be, and how answers are scored.
        model: from ``--model_dir``.
        data: from :func:`read`.
    """
    from plainbert import evaluation

    if data.gold is None:
        return evaluation.evaluate_questions(
            model,
            data.rows,
            name=settings.file,
            scoring=settings.scoring,
            max_len=settings.max_len,
            num_workers=settings.num_workers,
            bar=True,
            search={"null": settings.version_2 or None},
        )
    return evaluation.evaluate(model, data.rows, data.gold, max_len=settings.max_len, bar=True)


def run(settings: Settings) -> Evaluated:
    """Score the model, and write the scores where the flags say."""
    from plainbert.infer.evaluation import RESULTS_FILE
    from plainbert.model import load
    from plainbert.model_zoo import best_of_run, stored_of
    from plainbert.recipes.shared.start import start

    paths = {}
    if settings.output_dir is not None:
        names = (RESULTS_FILE, REPORT_FILE, CONFUSION_FILE)
        paths = {name: Path(settings.output_dir) / name for name in names}
        for path in paths.values():
            if path.exists() and not settings.overwrite:
                raise UsageError(f"{path} exists. Add --overwrite, or name another folder.")
    # Before anything is computed: labels that the model does not know.
    data = read(settings, stored_of(best_of_run(settings.model_dir)))
    ready = start(settings, new_run=False)
    model = load(
        settings.model_dir,
        dtype=ready.precision,
        device=ready.device,
        lower=settings.do_lower_case,
        labels=settings.labels,
        dataset_name=settings.bert_dataset,
    )
    results = score(settings, model, data)
    name = "stdin" if settings.file == "-" else Path(settings.file).name.partition(".")[0]
    if settings.output is not None:
        source = {"model": settings.model_dir, "file": settings.file}
        files.write_json(Path(settings.output), {**source, **results.as_dict()})
        log.info("scores in %s", settings.output)
    if paths:
        files.write_json(paths[RESULTS_FILE], {name: results.scores})
        files.write_json(paths[REPORT_FILE], {name: results.by_label})
        if results.confusion:
            files.write_json(paths[CONFUSION_FILE], {name: results.confusion})
        log.info("scores in %s", paths[RESULTS_FILE])
    return Evaluated(name, results)


def report(results: Evaluated) -> None:
    """Print the scores, and a table of the classes."""
    from plainbert.tasks.reports import format_scores

    scores = results.results
    print(f"{results.name} ({scores.rows} rows): {line_of(scores.scores)}")
    if tables := format_scores(scores):
        print(f"\n{tables}")


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The command: parse, run, report."""
    return command.carry_out(NAME, argv, parse_args, run, report).results.as_dict()
