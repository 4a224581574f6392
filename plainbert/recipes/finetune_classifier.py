r"""Fine-tune BERT to classify texts or pairs of texts, or to give them a number.

Your own rows (.tsv, .csv or .jsonl with a header):

    python scripts/bert/finetune_classifier.py --model_dir all-MiniLM-L6-v2 \
        --train_file train.tsv --dev_file dev.tsv --text_columns text --label_column label

A published task, from $GLUE_DIR/MRPC, ./glue_data/MRPC or the datasets library:

    python scripts/bert/finetune_classifier.py --task_name MRPC --batch_size 32 --epochs 3 --lr 2e-5

A task class of your own; a run that was interrupted; scores of a trained model:

    python scripts/bert/finetune_classifier.py --task_name my.py:MyTask --output_dir runs/mine
    python scripts/bert/finetune_classifier.py --task_name my.py:MyTask --output_dir runs/mine \
        --resume
    python scripts/bert/finetune_classifier.py --task_name RTE --model_parameters runs/rte/best \
        --only_inference --output_dir runs/rte

Writes into --output_dir: best and last (model folders), state-STEP (what --resume needs),
eval_results.json, metrics.jsonl, log.txt and, for every test split, the file that GLUE takes.
Next: scripts/bert/predict_classifier.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from plainbert.errors import DataError, PlainBertError
from plainbert.recipes.shared import before, command, flags
from plainbert.recipes.shared.older_systems import refusals
from plainbert.recipes.shared.older_training import OlderTrainingFlags
from plainbert.recipes.shared.results import Trained, report_trained
from plainbert.tasks.classification.flags import LabelsFlags

if TYPE_CHECKING:
    from plainbert.tasks.classification.task import Split, Task

NAME = "finetune_classifier"
FILES = ("train_file", "dev_file", "test_file")


@dataclass(frozen=True, kw_only=True)
class Settings(OlderTrainingFlags, LabelsFlags):
    """The flags, with their documented defaults."""

    MAIN: ClassVar = {
        "required: rows of your own, or a published task": ("train_file", "task_name"),
        "what people set": (
            "model_dir", "dev_file", "test_file", "text_columns", "label_column", "regression",
            "epochs", "batch_size", "lr", "max_len", "optimizer", "gpu", "seed",
        ),
        "output": ("output_dir", "resume", "overwrite"),
    }  # fmt: skip
    UNSET: ClassVar = {
        "train_file": "required without --task_name",
        "task_name": "required without --train_file",
        "model_dir": "the size that --bert_model names, downloaded",
        "dev_file": "none: no scores, and the last epoch's model",
        "test_file": "none",
    }

    data_dir: str | None = None
    train_file: str | None = None
    dev_file: str | None = None
    test_file: str | None = None
    text_columns: tuple[str, ...] | None = None
    metric: str | None = None
    pad: bool = False

    def checked(self) -> Self:
        settings = super().checked()
        if self.task_name is None and not self.typed.intersection(FILES):
            self.refuse("nothing to learn: give --task_name, or --train_file and --dev_file.")
        elif not (settings.only_inference or self.task_name or self.train_file):
            self.refuse("--train_file is missing; --only_inference evaluates without training.")
        for name in FILES:
            self.exclusive("task_name", name)
        self.needs("regression", *FILES)
        return settings

    def problems(self) -> Iterator[PlainBertError]:
        from plainbert.tasks.classification import names, own, scores

        yield from super().problems()
        yield from before.raised(scores.require)
        if self.task_name is not None and not own.is_own(self.task_name):
            yield from before.raised(partial(names.canonical, self.task_name))
        for name, path in zip(FILES, (self.train_file, self.dev_file, self.test_file), strict=True):
            if path is not None and Path(path).is_file():
                look = partial(self._first_row, path, need_label=name != "test_file")
                yield from before.raised(look)

    def _first_row(self, path: str, need_label: bool) -> object:
        """The first row of a file, behind a header that has the columns."""
        from plainbert.tasks.classification import columns, headers

        texts = columns.parse(self.text_columns)
        try:
            return next(columns.read(path, texts, self.label_column, None, need_label), None)
        except headers.MissingColumnError as error:
            if error.column != self.label_column or "label_column" in self.typed:
                raise
            raise DataError(f"{error} --label_column names the one with the labels.") from None


def parse_args(argv: Sequence[str] | None = None) -> Settings:
    """The settings that a command line says."""
    return flags.parse(Settings, __doc__, argv, refusals(NAME))


def find_task(settings: Settings) -> Task:
    """The task that the flags describe."""
    from plainbert.model_zoo import stored_of
    from plainbert.recipes.shared.models import name_of
    from plainbert.tasks.classification.find import find
    from plainbert.tasks.classification.table import REGRESSION, TableTask

    if settings.task_name is not None:
        return find(settings.task_name, settings.data_dir)
    labels: Sequence[str] | str | None = None
    if settings.only_inference:
        # Without training the labels are the model's; a regressor has none, whoever chose it.
        stored = stored_of(name_of(settings))
        labels = REGRESSION if stored.head == "regression" else stored.config.id2label
    return TableTask(
        settings.train_file,
        settings.dev_file,
        settings.test_file,
        settings.text_columns,
        settings.label_column,
        labels=REGRESSION if settings.regression else labels,
    )


def gives_several(settings: Settings) -> bool:
    """Whether the model gives a text any number of labels."""
    from plainbert.model_zoo import stored_of
    from plainbert.nn.names import MULTI_LABEL
    from plainbert.recipes.shared.models import name_of

    stored = stored_of(name_of(settings))
    return stored.head == "classification" and stored.config.problem_type == MULTI_LABEL


def texts_of(rows: Split) -> int:
    """Texts of a row: of most of them, where they differ."""
    return Counter(len(example.texts) for example in rows.examples).most_common(1)[0][0]


def run(settings: Settings) -> Trained:
    """Train, where there is anything to train on, and score and predict every split."""
    from plainbert.recipes.shared.finetuning import session
    from plainbert.tasks.classification import evaluate, several
    from plainbert.tasks.classification.evaluate import ClassifierEvaluation, TokenizedSplit
    from plainbert.tasks.classification.scores import check, require

    require()

    # Before the run folder is touched: rows that cannot be used must not leave one behind, nor
    # be seen after hours of training.
    task = find_task(settings)
    if settings.only_inference and gives_several(settings):
        several.scored_by(task)
    head = "classification" if task.labels else "regression"
    # The first metric chooses the best checkpoint.
    metrics = tuple(dict.fromkeys([*filter(None, [settings.metric]), *task.metrics]))
    if task.several:
        several.check(metrics)
    else:
        check(metrics, None if task.labels is None else len(task.labels))
    splits = [*task.dev_splits, *(split for split in task.test_splits if task.has(split))]
    if not settings.only_inference:
        splits.insert(0, "train")
    rows = {split: task.read(split) for split in splits}
    with session(settings, NAME) as job:
        opened = job.open(head, task.labels)
        model, max_len = opened.headed, job.max_len(opened.headed)

        positions = model.config.max_position_embeddings

        def load(split: str, limit: int | None = settings.max_eval_samples) -> TokenizedSplit:
            return evaluate.prepare(
                task,
                split,
                rows[split],
                opened.tokenizer,
                max_len,
                positions,
                limit,
                settings.num_workers,
            )

        # Test splits are scored, or predicted for GLUE's server, by the model that is chosen.
        data = {split: load(split) for split in splits if split != "train"}
        chosen = None
        if job.trains:
            dev = {split: data[split].features for split in task.dev_splits}
            model, chosen = job.train(
                opened,
                load("train", settings.max_train_samples).features,
                ClassifierEvaluation(dev, metrics, job.ready.dtype, job.ranks) if dev else None,
                about={"task": task.name, "max_length": max_len, "texts": texts_of(rows["train"])},
                labels=task.labels,
            )
        scores = evaluate.write_results(
            model, task, data, job.ready.dtype, job.folder, metrics, job.sharing
        )
        return job.results(scores, chosen)


def report(results: Trained) -> None:
    """Print the scores and what comes next."""
    report_trained(results, "predict_classifier", "--sentences ...")


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """The command: parse, run, report."""
    return command.carry_out(NAME, argv, parse_args, run, report).scores
