"""What a data set is: examples, splits, labels in a fixed order, metrics.

A task of your own is a subclass of :class:`Task` in a Python file::

    # my.py                          finetune_classifier.py --task_name my.py:Reviews
    from plainbert.tasks.task import Example, Task

    class Reviews(Task):
        name = "Reviews"
        labels = ("bad", "good")     # the order is the order of the class ids; None: regression
        metrics = ("accuracy", "f1")  # the first one picks the best checkpoint
        test_splits = ()             # this set has no test split

        def rows(self, split, folder):
            for line in open(f"reviews.{split}.txt", encoding="utf-8"):
                label, text = line.rstrip().split(" ", 1)
                yield Example((text,), label)
"""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from plainbert.errors import DataError, UnknownNameError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """One row: its texts, its label, its number in a submission.

    Args:
        texts: one to three texts, in the order in which the model sees them.
        label: the label's name, a number for regression, None where the set hides it.
        row: the id that a submission file asks for; the running number where there is none.
    """

    texts: tuple[str, ...]
    label: str | float | None = None
    row: str | int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The examples of one split, and ``file:line: reason`` of every row that was left out."""

    examples: list[Example]
    skipped: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.examples)


class Task:
    """Base of every task; subclasses set the attributes and write :meth:`rows`.

    Attributes:
        name: how logs, checkpoints and submission files call it.
        labels: label names in the order of their ids; None means regression.
        metrics: names of :mod:`plainbert.metrics`; the first one picks the best checkpoint.
        text_names: what the texts are, for the server's and the help's sake.
        aliases: other spellings of labels, to the spelling in ``labels``.
        dev_splits: splits that are evaluated.
        test_splits: splits that are predicted; their labels may be hidden.
        several: whether a text may have several labels, ``toxic,insult``; to be scored only.
        folder: where to read when :meth:`read` is not told.
        help: one line on what the task asks.
    """

    name: str
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    text_names: tuple[str, ...] = ("text",)
    aliases: Mapping[str, str] = {}
    dev_splits: tuple[str, ...] = ("dev",)
    test_splits: tuple[str, ...] = ("test",)
    several: bool = False
    folder: Path | None = None
    help: str = ""

    required: ClassVar[tuple[str, ...]] = ("name", "labels", "metrics")

    def rows(self, split: str, folder: Path | None) -> Iterator[Example | str]:
        """Yield the examples of a split, in order.

        A row that cannot be used is yielded as a text that says where it is and why
        (``file:line: reason``): it is counted and reported, never dropped silently.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define rows(split, folder).")

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that :meth:`read` takes."""
        return ("train", *self.dev_splits, *self.test_splits)

    @property
    def num_outputs(self) -> int:
        """C, what the model's head must put out: one number for regression."""
        return 1 if self.labels is None else len(self.labels)

    def has(self, split: str, folder: str | Path | None = None) -> bool:
        """Whether a split can be read; a folder without the test file is no mistake."""
        del folder  # where it matters, subclasses look
        return split in self.splits

    def read(self, split: str, folder: str | Path | None = None) -> Split:
        """Read one split.

        Args:
            split: "train", or one of ``dev_splits`` and ``test_splits``.
            folder: where the files are; ``self.folder`` when None.

        Raises:
            UnknownNameError: there is no such split.
            DataError: a row cannot be used, or there are none.
        """
        if split not in self.splits:
            raise UnknownNameError(f"split of {self.name}", split, self.splits)
        examples: list[Example] = []
        skipped: list[str] = []
        for item in self.rows(split, self.folder if folder is None else Path(folder)):
            if isinstance(item, str):
                skipped.append(item)
            else:
                examples.append(self._checked(item, split, len(examples)))
        if not examples:
            raise DataError(f"{self.name}: the split {split!r} holds no example.")
        if skipped:
            log.warning(
                "%s %s: %d of %d rows left out, first: %s",
                self.name,
                split,
                len(skipped),
                len(skipped) + len(examples),
                skipped[0],
            )
        return Split(examples, skipped)

    def clean_label(
        self, label: str | float, path: str | Path | None = None, line: int = 0
    ) -> str | float:
        """The label as :attr:`labels` spells it, or the number for regression.

        Args:
            label: what the data says.
            path: the file it comes from, for the error.
            line: its line, counted from 1, for the error.

        Raises:
            DataError: the label is not one of :attr:`labels`, or not a number.
        """
        if self.labels is None:
            try:
                number = float(label)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise DataError(f"the label {label!r} is not a number.", path, line)
            return number
        name = str(label).strip()
        if len(names := self.names_of(name)) > 1:
            return ",".join(str(self.clean_label(part, path, line)) for part in names)
        name = self.aliases.get(name, name)
        if name not in self.labels:
            # One class, written as a number with and without decimals.
            name = next((known for known in self.labels if _are_one(name, known)), name)
        if name not in self.labels:
            near = difflib.get_close_matches(name, self.labels, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            raise DataError(f"the label {name!r} is not one of: {known}.{guess}", path, line)
        return name

    def names_of(self, label: str | float | None) -> list[str]:
        """The names in a cell, several of them between ``,``, ``;`` or ``|`` where it may be."""
        name = str(label).strip()
        if not self.several or name in (self.labels or ()):
            return [name]
        return [part.strip() for part in re.split("[,;|]", name) if part.strip()]

    def label_id(self, label: str) -> int:
        """The id of a label's name, in ``labels``' order.

        Raises:
            DataError: no such label, or the task is a regression.
        """
        if self.labels is None:
            raise DataError(f"{self.name} is a regression: its labels are numbers, not names.")
        return self.labels.index(str(self.clean_label(label)))

    def submission_name(self, split: str) -> str:
        """Name of the file that GLUE's server takes for a split."""
        if split == "test":
            return f"{self.name}.tsv"
        return f"{self.name}-{split.removeprefix('test_')}.tsv"

    def _checked(self, example: Example, split: str, number: int) -> Example:
        """The example with its label in the task's spelling."""
        if not 1 <= len(example.texts) <= 3:
            raise DataError(
                f"{self.name} {split}, example {number}: {len(example.texts)} texts; "
                "one to three are expected, as a tuple."
            )
        if example.label is None:
            if split in self.test_splits:
                return example
            raise DataError(f"{self.name} {split}, example {number} has no label.")
        try:
            label = self.clean_label(example.label)
        except DataError as error:
            raise DataError(f"{self.name} {split}, example {number}: {error}") from None
        return example if label == example.label else Example(example.texts, label, example.row)


def without_zeros(name: str) -> str:
    """A label's name without the ".0" that pandas and JSON give whole numbers.

    Example:
        >>> without_zeros("2.0"), without_zeros("2.50"), without_zeros("v2.0")
        ('2', '2.50', 'v2.0')
    """
    return name.partition(".")[0] if re.fullmatch(r"[+-]?[0-9]+\.0+", name) else name


def _are_one(name: str, other: str) -> bool:
    return without_zeros(name) == without_zeros(other)
