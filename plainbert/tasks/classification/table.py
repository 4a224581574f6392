"""A task from plain TSV, CSV or JSON Lines files, without writing Python."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from plainbert import text_files
from plainbert.containers import rows
from plainbert.errors import DataError, UnknownNameError, UsageError
from plainbert.tasks.classification import columns
from plainbert.tasks.classification.columns import TableRow
from plainbert.tasks.classification.task import Example, Task, without_zeros

log = logging.getLogger(__name__)

REGRESSION = "regression"
_BOOLEANS = {"true", "false"}
# What stands in place of every label of a test file that hides them.
HIDDEN = columns.MISSING | {"-1", "-1.0", "null", "none", "?"}


class TableTask(Task):
    """Classification or regression over a user's own files.

    Args:
        train_file: TSV (never quoted), CSV (RFC 4180) or JSON Lines, by suffix; .gz and .xz too.
        dev_file: evaluated; with the columns of the training file.
        test_file: predicted; with the columns of the training file, but for the label, which may be
            absent, or hidden by the same stand-in (-1, null, nothing) in every row.
        text_columns: one to three columns, by name ("sentence1,sentence2") or counted from 0
            ("0,1"); see :mod:`plainbert.tasks.classification.columns`.
        label_column: by name or number.
        labels: the names in id order; "regression"; None: from the training file. Then it is a
            regression when every label is a number and at least one is not whole (4.25); else the
            labels are the names found, in the order of their numbers if all are whole numbers,
            else in the order of their code points.
        metrics: the first one picks the best checkpoint; None: accuracy, f1 (of the second
            label), macro_f1 and mcc for two labels, accuracy and macro_f1 for more, pearson and
            spearman for regression.
        name: how logs and result files call the task.
        form: "tsv", "csv" or "jsonl" against the suffix.

    Raises:
        UsageError: no file, or nothing that tells the labels.
        DataError: the training file cannot be used. The training file is read here, so that this
            is known before a model is loaded.
    """

    def __init__(
        self,
        train_file: str | Path | None = None,
        dev_file: str | Path | None = None,
        test_file: str | Path | None = None,
        text_columns: str | Sequence[str | int] | None = None,
        label_column: str | int = "label",
        labels: Sequence[str] | str | None = None,
        metrics: Sequence[str] | None = None,
        name: str = "table",
        form: str | None = None,
    ) -> None:
        paths = {"train": train_file, "dev": dev_file, "test": test_file}
        self.files = {split: Path(path) for split, path in paths.items() if path is not None}
        if not self.files:
            raise UsageError("no file: give at least one of train_file, dev_file, test_file.")
        if isinstance(labels, str) and labels != REGRESSION:
            raise UsageError(f"labels={labels!r}: a list of names or {REGRESSION!r} is expected.")
        self.text_columns = columns.parse(text_columns)
        self.label_column = str(label_column)
        self.form = form
        self.name = name
        self.help = "your own files"
        self.dev_splits = ("dev",) if "dev" in self.files else ()
        self.test_splits = ("test",) if "test" in self.files else ()
        for path in self.files.values():
            if not path.is_file():
                raise DataError("does not exist, or is not a file.", path)
        # Kept until the split is asked for, so that the training file is read only once.
        self._train = list(self._records("train")) if "train" in self.files else []
        self.labels = self._labels(labels)
        self.text_names = self._text_names()
        self.metrics = _metrics(metrics, self.labels)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits whose file was given."""
        return tuple(self.files)

    def rows(self, split: str, folder: Path | None) -> Iterator[Example | str]:
        """Yield the rows of a file, in order."""
        path = self.files[split]
        records = self._train if split == "train" else self._records(split)
        if split == "test":
            records = self._with_hidden_labels(list(records))
        for number, record in enumerate(records):
            label: str | float | None = record.label
            if label is not None:
                label = self.clean_label(label, path, record.line)
            yield Example(record.texts, label, number)

    def _with_hidden_labels(self, records: list[TableRow]) -> list[TableRow]:
        """Test rows, with no labels where the same stand-in for one is in every row."""
        labels = {record.label for record in records if record.label is not None}
        stand_ins = {label for label in labels if label.casefold() in HIDDEN}
        known = labels & set(self.labels or ())
        if labels and labels == stand_ins and not known:
            log.info("%s: the labels are hidden (%s).", self.files["test"], sorted(labels))
            return [replace(record, label=None) for record in records]
        for record in records:
            if record.label == "":
                raise DataError(
                    "the label is empty, but others are not. Where the labels are hidden, -1 or "
                    "nothing stands in every row.",
                    self.files["test"],
                    record.line,
                )
        return records

    def _records(self, split: str) -> Iterator[TableRow]:
        return columns.read(
            self.files[split],
            self.text_columns,
            self.label_column,
            self.form,
            need_label=split != "test",
        )

    def _labels(self, labels: Sequence[str] | str | None) -> tuple[str, ...] | None:
        """The label names in id order, or None for regression; see the class."""
        if labels == REGRESSION:
            return None
        if labels is not None:
            names = tuple(labels)
            if len(set(names)) < max(2, len(names)):
                raise UsageError(f"labels={labels!r}: two or more different names are expected.")
            return names
        if "train" not in self.files:
            raise UsageError(
                "without train_file the labels are unknown: give labels, or the checkpoint's."
            )
        path = self.files["train"]
        if not self._train:
            raise DataError("has a header but no rows.", path)
        distinct = {str(record.label) for record in self._train}
        # pandas and JSON write one class as 1 and as 1.0: the shorter name counts.
        distinct -= {name for name in distinct if without_zeros(name) in distinct - {name}}
        if distinct & _BOOLEANS and _numbers(distinct - _BOOLEANS):
            raise DataError(
                "some labels are true or false and others are numbers. Write one kind.", path
            )
        numbers = _numbers(distinct)
        if numbers is not None and not all(number.is_integer() for number in numbers):
            log.info("%s: the labels are numbers that are not whole: a regression.", path)
            return None
        if all(re.fullmatch(r"[+-]?[0-9]+(,[0-9]+)?", name) for name in distinct) and any(
            "," in name for name in distinct
        ):
            example = next(name for name in distinct if "," in name)
            raise DataError(
                f"the labels are numbers with a decimal comma ({example}); write a point "
                f"({example.replace(',', '.')}).",
                path,
            )
        if len(distinct) < 2:
            raise DataError(f"every row has the label {distinct.pop()!r}; two are needed.", path)
        if len(distinct) == len(self._train) > 20:
            raise DataError(
                f"every row has a label of its own; is {self.label_column!r} the label column? "
                "Pass labels='regression' if its values are quantities.",
                path,
            )
        whole = all(re.fullmatch(r"[+-]?[0-9]+", name) for name in distinct)
        return tuple(sorted(distinct, key=lambda name: (int(name) if whole else 0, name)))

    def _text_names(self) -> tuple[str, ...]:
        """The text columns' names; text1, text2 where they are numbered or were found by name."""
        names = self.text_columns
        if names is not None and not all(name.isdecimal() for name in names):
            return names
        split = next(iter(self.files))
        records = self._train or self._records(split)
        count = len(next(iter(records)).texts) if names is None else len(names)
        return tuple(f"text{number}" for number in range(1, count + 1))


def read_texts(
    path: str | Path,
    text_columns: str | Sequence[str | int] | None = None,
    form: str | None = None,
) -> list[tuple[str, ...]]:
    """The texts to predict on, one entry per row, in the order of the file.

    Args:
        path: a file; ``-`` is standard input.
        text_columns: one to three columns, by name or counted from 0. None: every line is one text
            (an empty line is an empty text, so that results line up with lines), unless the suffix
            is .tsv, .csv, .jsonl or .ndjson: then the header must have one of the usual columns
            ("text", ...). By number, every line is a row; standard input is then tab-separated, or
            JSON Lines with ``form="jsonl"``.
        form: "tsv", "csv" or "jsonl" against the suffix.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """
    return list(iter_texts(path, text_columns, form))


def iter_texts(
    path: str | Path,
    text_columns: str | Sequence[str | int] | None = None,
    form: str | None = None,
) -> Iterator[tuple[str, ...]]:
    """Yield what :func:`read_texts` returns, as it is read; arguments as there."""
    for row in iter_rows(path, text_columns, form=form):
        yield row.texts


def iter_rows(
    path: str | Path,
    text_columns: str | Sequence[str | int] | None = None,
    label: str | None = None,
    keep: Sequence[str] = (),
    form: str | None = None,
) -> Iterator[TableRow]:
    """Yield the rows to predict on, with what is to be handed on beside the predictions.

    Args:
        path: a file; ``-`` is standard input.
        text_columns: one to three columns, or None; as for :func:`read_texts`.
        label: the column of the right label, which may be empty.
        keep: other columns; see :func:`plainbert.tasks.classification.columns.read`.
        form: "tsv", "csv" or "jsonl" against the suffix.

    Raises:
        DataError: the file is empty, a row cannot be used, or a column is missing.
        UsageError: columns are named of a file whose lines are texts.
    """
    empty = True
    if form is None and is_plain(path, text_columns):
        if label is not None or keep:
            raise UsageError(
                f"each line of {path} is taken for a text, and a text has no columns to keep or to "
                "compare with. Name the columns of the texts with --text_columns, or give a .tsv, "
                ".csv or .jsonl file with a header."
            )
        for number, line in text_files.read_lines(path):
            empty = False
            yield TableRow(number, (line,), None)
    else:
        texts = columns.parse(text_columns)
        for row in columns.read(path, texts, label, form, need_label=False, keep=keep):
            if empty and label is not None and row.label is None:
                raise DataError(f"has no column {label!r} with the right labels.", path)
            empty = False
            yield row
    if empty:
        raise DataError("is empty; one text per line is expected.", path)


def is_plain(path: str | Path, text_columns: str | Sequence[str | int] | None = None) -> bool:
    """Whether every line of a file is one text: neither columns nor the suffix speak of a table.

    Args:
        path: a file; ``-`` is standard input.
        text_columns: which columns are texts, where that is stated.
    """
    return text_columns is None and rows.suffix_of(path) not in (*rows.TABLES, ".json")


def _numbers(names: set[str]) -> list[float] | None:
    """The labels as finite numbers, or None if one is not."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return None
    return numbers if all(math.isfinite(number) for number in numbers) else None


def _metrics(metrics: Sequence[str] | None, labels: tuple[str, ...] | None) -> tuple[str, ...]:
    from plainbert.tasks.classification.scores import METRICS

    for name in metrics or ():
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    if metrics:
        return tuple(metrics)
    if labels is None:
        return ("pearson", "spearman")
    return ("accuracy", "f1", "macro_f1", "mcc") if len(labels) == 2 else ("accuracy", "macro_f1")
