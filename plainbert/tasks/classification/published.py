"""Published tasks: the files of a folder, in one of the layouts that circulate, or the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from plainbert.containers import rows
from plainbert.errors import DataError
from plainbert.tasks.classification import hub_sets
from plainbert.tasks.classification.hub_sets import HubSet
from plainbert.tasks.classification.names import DESCRIPTIONS
from plainbert.tasks.classification.task import Example, Task
from plainbert.tasks.saved_sets import is_saved

GLUE_DIR = "GLUE_DIR"  # the environment variable that GLUE's own scripts use
DEFAULT_FOLDER = Path("glue_data")


@dataclass(frozen=True)
class TableLayout:
    """How a tab-separated file is laid out; columns count from 0.

    Args:
        width: columns per row, exactly.
        texts: the columns of the texts.
        label: the column of the label; None where it is hidden.
        row: the column of the submission's index; None: the running number.
        header: True: the first line is a header, whatever it says; False: there is none; names:
            this layout holds for files whose first line says exactly that (case aside).
        language: (column, value): only rows with this value belong to the task.
        drop_bad: rows of another width are left out and counted, because the published file has
            some; otherwise they are errors.
        unlabelled: label values that mean "the annotators did not agree": left out and counted.
    """

    width: int
    texts: tuple[int, ...]
    label: int | None = None
    row: int | None = None
    header: bool | tuple[str, ...] = True
    language: tuple[int, str] | None = None
    drop_bad: bool = False
    unlabelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitFile:
    """A file that may hold a split: its path inside the task's folder, its possible layouts."""

    path: str
    layouts: tuple[TableLayout, ...]


class PublishedTask(Task):
    """A task whose files everybody has in the same few forms.

    Args:
        name: one of :data:`plainbert.tasks.classification.names.NAMES`.
        labels: names in id order (GluonNLP's); None for regression.
        metrics: over the whole set; the first one picks the best checkpoint.
        text_names: what the texts are.
        sources: per split, where it may lie; the first file that exists is read.
        folders: names that the task's folder goes by, in ``$GLUE_DIR`` or ``./glue_data``.
        hub: where the ``datasets`` library has the task's data.
        aliases: other spellings of labels.
        submissions: file names of the test splits.
    """

    def __init__(
        self,
        name: str,
        labels: tuple[str, ...] | None,
        metrics: tuple[str, ...],
        text_names: tuple[str, ...],
        sources: Mapping[str, tuple[SplitFile, ...]],
        hub: HubSet,
        folders: tuple[str, ...] = (),
        aliases: Mapping[str, str] | None = None,
        submissions: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.labels = labels
        self.metrics = metrics
        self.text_names = text_names
        self.sources = sources
        self.hub = hub
        self.folders = folders or (name,)
        self.aliases = aliases or {}
        self.submissions = submissions or {}
        self.dev_splits = tuple(split for split in sources if split.startswith("dev"))
        self.test_splits = tuple(split for split in sources if split.startswith("test"))
        self.help = DESCRIPTIONS[name]

    def submission_name(self, split: str) -> str:
        """The file name that GLUE's server asks for."""
        return self.submissions.get(split) or super().submission_name(split)

    def has(self, split: str, folder: str | Path | None = None) -> bool:
        """Whether the folder holds the split's file (a folder without labels-free test is fine)."""
        place, _ = self.locate(self.folder if folder is None else folder)
        if place is None or is_saved(place):
            return split in self.splits
        return split in self.splits and self._source(place, split) is not None

    def rows(self, split: str, folder: Path | None) -> Iterator[Example | str]:
        """Read a split from the folder; without a folder, through the ``datasets`` library."""
        place, tried = self.locate(folder)
        if place is None and folder is not None:
            raise DataError(
                f"holds no files of {self.name}. Expected is one of {self._file_names('train')} "
                f"in it or in its subfolder {' or '.join(self.folders)}.",
                folder,
            )
        if place is None or is_saved(place):
            yield from hub_sets.examples(self.name, self.hub, split, place, tried)
            return
        source = self._source(place, split)
        if source is None:
            raise DataError(
                f"has no file for the split {split!r} of {self.name}. "
                f"Expected: {self._file_names(split)}.",
                place,
            )
        yield from self._file(place / source.path, source.layouts)

    def locate(self, folder: str | Path | None) -> tuple[Path | None, list[str]]:
        """The task's own folder, and every folder that was looked at.

        Args:
            folder: a folder given by the user: the task's own, or one that holds it; None means
                ``$GLUE_DIR``, then ``./glue_data``.
        """
        if folder is not None:
            parents = [Path(folder)]
        else:
            parents = [Path(os.environ[GLUE_DIR])] if os.environ.get(GLUE_DIR) else []
            parents.append(DEFAULT_FOLDER)
        folders = [parent / name for parent in parents for name in self.folders]
        if folder is not None:
            folders.append(Path(folder))
        for path in folders:
            if is_saved(path) or any(self._source(path, split) for split in self.splits):
                return path, []
        return None, [str(path) for path in folders]

    def _source(self, folder: Path, split: str) -> SplitFile | None:
        for source in self.sources[split]:
            if (folder / source.path).is_file():
                return source
        return None

    def _file_names(self, split: str) -> str:
        return ", ".join(source.path for source in self.sources[split])

    def _file(self, path: Path, layouts: tuple[TableLayout, ...]) -> Iterator[Example | str]:
        """Yield the examples of one file, and a reason for each row that is left out."""
        layout: TableLayout | None = None
        number = 0
        for line, row in rows.cells(path):
            if layout is None:
                layout = _layout_of(layouts, row)
                if layout.header:
                    if len(row) != layout.width:
                        raise rows.wrong_count(path, line, row, layout.width, " in the header")
                    continue
            if len(row) != layout.width:
                if not layout.drop_bad:
                    raise rows.wrong_count(path, line, row, layout.width, f" in {self.name}")
                start = "\t".join(row)[:60]
                yield f"{path}:{line}: {len(row)} columns instead of {layout.width}: {start!r}"
                continue
            if layout.language is not None and row[layout.language[0]] != layout.language[1]:
                continue  # another language's row is not part of this task
            label: str | float | None = None
            if layout.label is not None:
                if row[layout.label] in layout.unlabelled:
                    yield f"{path}:{line}: no gold label ({row[layout.label]!r})"
                    continue
                label = self.clean_label(row[layout.label], path, line)
            texts = tuple(row[column] for column in layout.texts)
            yield Example(texts, label, number if layout.row is None else row[layout.row])
            number += 1
        if layout is None:
            raise DataError(f"is empty; rows of {self.name} are expected.", path)


def _layout_of(layouts: tuple[TableLayout, ...], first: list[str]) -> TableLayout:
    """The layout whose header is the first row; the last layout when none says so."""
    names = tuple(cell.strip().casefold() for cell in first)
    for layout in layouts:
        if isinstance(layout.header, tuple) and names == layout.header:
            return layout
    return layouts[-1]
