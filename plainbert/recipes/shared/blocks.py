"""Rows worked out block by block: memory stays flat, and an interrupted run goes on. Free of torch.

What is done lies in ``.NAME.plainbert.rows`` beside ``--output`` until the file is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from plainbert import files
from plainbert.containers.growing import GrowingFiles
from plainbert.errors import UsageError
from plainbert.recipes.shared import texts
from plainbert.recipes.shared.lock import Lock
from plainbert.recipes.shared.settings import GrowingOutputFlags, TextsFlags
from plainbert.tasks.classification.rows import InputRow

# A block is sorted by length as a whole: this many rows fill every batch.
ROWS = 1 << 14
CHARACTERS = 1 << 20  # of a block's texts at most, unless a single one has more
SUFFIX = ".plainbert.rows"

Row = tuple[Any, ...]

log = logging.getLogger(__name__)


def cut(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut rows into blocks, always in the same places."""
    block: list[Row] = []
    size = 0
    for row in rows:
        length = _length(row)
        if block and (len(block) == ROWS or size + length > CHARACTERS):
            yield block
            block, size = [], 0
        block.append(row)
        size += length
    if block:
        yield block


def _length(row: tuple[Any, ...]) -> int:
    """Characters of a row."""
    if isinstance(row, InputRow):
        return sum(map(len, row.texts)) + sum(len(str(value)) for value in row.others.values())
    return sum(map(len, row))


class BlockReader:
    """The rows of a command line, block by block; the first two are read at once.

    Args:
        settings: name the texts.
        output: file of the results. Where there are more blocks than one for it, every row of a
            file is read before the first is worked on, so that a wrong one is known at once;
            standard input cannot be read twice.
        stream: reads the rows: tuples of texts, or :class:`InputRow`.

    Attributes:
        is_single: whether one block holds all.
        total: rows in all; None where nobody knows.

    Raises:
        DataError: the file is empty or a row cannot be used.
    """

    def __init__(
        self,
        settings: TextsFlags,
        output: str | None,
        stream: Callable[[TextsFlags], Iterator[Row]] = texts.stream,
    ) -> None:
        self._blocks = cut(stream(settings))
        self._begin = list(itertools.islice(self._blocks, 2))
        self.is_single = len(self._begin) == 1
        self.total: int | None = None
        if not self.is_single and output is not None and settings.file != "-":
            self.total = sum(1 for _ in stream(settings))

    def __iter__(self) -> Iterator[list[Row]]:
        while self._begin:
            yield self._begin.pop(0)
        yield from self._blocks

    def all(self) -> list[Row]:
        """Every row at once."""
        return list(itertools.chain.from_iterable(self))


def work_folder(output: str | Path) -> Path:
    """Where what is done is kept until a file is whole."""
    output = Path(output)
    return output.with_name(f".{output.name}{SUFFIX}")


def check(settings: GrowingOutputFlags) -> None:
    """Refuse to lose what an interrupted run has done.

    Raises:
        UsageError: there is such work, and neither ``--resume`` nor ``--overwrite`` was given; or
            another process is at it.
    """
    if settings.output is None or settings.resume or settings.overwrite:
        return
    folder = work_folder(settings.output)
    if not folder.exists():
        return
    lock = Lock.take(folder)
    try:
        growing = GrowingFiles(folder)
        if growing.state:
            raise UsageError(
                f"{growing.state['rows']} rows for {settings.output} are done already, by a run "
                "that was interrupted. Add --resume to go on, or --overwrite to start anew."
            )
    finally:
        lock.release()


def _tidy(output: Path) -> None:
    """Remove what kills have left of a file, or of a work folder that was being removed."""
    files.remove_leftovers(output.parent, rf"{re.escape(output.name)}(?:{re.escape(SUFFIX)})?")


def discard(output: str | Path) -> None:
    """Remove the work on a file that was written otherwise, or is to be begun anew.

    Raises:
        UsageError: another process is at it.
    """
    folder = work_folder(output)
    if folder.exists():
        lock = Lock.take(folder)
        try:
            GrowingFiles(folder).remove()
        finally:
            lock.release()


def is_done(settings: GrowingOutputFlags) -> bool:
    """Whether ``--resume`` has nothing to do: the file is there, and no work is left beside it."""
    if not settings.resume or settings.output is None or not Path(settings.output).exists():
        return False
    if work_folder(settings.output).exists():
        return False
    _tidy(Path(settings.output))
    log.info("%s is there already: nothing is left to do.", settings.output)
    return True


class BlockWork:
    """The work on one output file; the folder is locked as long as the ``with`` block lasts.

    Args:
        output: the file.
        key: what the results depend on beside the texts, in words that JSON has.
        anew: what an interrupted run has done is removed.

    Raises:
        UsageError: another process is at work on this file, or what was interrupted had another
            key.
    """

    def __init__(self, output: str | Path, key: Mapping[str, Any], anew: bool = False) -> None:
        self.output, self._anew = Path(output), anew
        self._key = json.loads(files.json_text({**key, "rows": ROWS, "characters": CHARACTERS}))
        self._rows, self._digest = 0, ""

    def __enter__(self) -> BlockWork:
        if self._anew:
            discard(self.output)
        folder = work_folder(self.output)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock.take(folder)
        try:
            self.growing = GrowingFiles(folder)
            self._check_key()
            _tidy(self.output)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._lock.release()
        if kind is not None and self.done:
            log.warning(
                "%d rows are done and kept: the same command with --resume goes on behind them.",
                self.done,
            )

    @property
    def done(self) -> int:
        """Rows that are worked out and on disk."""
        return int(self.growing.state.get("rows", 0))

    def pending(self, reader: BlockReader) -> Iterator[list[Row]]:
        """Yield the blocks that are not worked out yet.

        Args:
            reader: has all of them.

        Raises:
            UsageError: the texts of what is done were others.
        """
        done = self.done
        with tqdm(total=reader.total, unit="row", disable=None) as meter:
            for block in reader:
                read = files.json_text(block).encode("utf-8", "surrogatepass")
                self._digest = hashlib.sha256(bytes.fromhex(self._digest) + read).hexdigest()
                self._rows += len(block)
                if self._rows > done:
                    yield block
                elif self._rows == done and self._digest != self.growing.state["texts"]:
                    raise self._other("texts")
                meter.update(len(block))
        if self._rows < done:
            raise self._other("texts")

    def add(self, parts: Mapping[str, bytes], **state: Any) -> None:
        """Keep the results of the block that was yielded last.

        Args:
            parts: what is added to each file, by name.
            state: what is to be known at the end, beside the number of rows.
        """
        state |= {"rows": self._rows, "texts": self._digest, "key": self._key}
        self.growing.add(parts, state)

    def finish(self, publish: Callable[[GrowingFiles, Path], None]) -> None:
        """Make the file of the parts, and remove those.

        Args:
            publish: writes the file in one step; called again after a kill.
        """
        publish(self.growing, self.output)
        self.growing.remove()

    def _check_key(self) -> None:
        old = self.growing.state.get("key", self._key)
        for name in sorted({*old, *self._key}):
            if old.get(name) != self._key.get(name):
                raise self._other(name)

    def _other(self, name: str) -> UsageError:
        return UsageError(
            f"{self.done} rows for {self.output} were worked out with other {name} than those of "
            "this command. Give the command that was interrupted, or --overwrite to start anew."
        )


@contextlib.contextmanager
def numbered(start: int, kind: type[Exception]) -> Iterator[None]:
    """Errors of a kind that count the rows of a block say where the block begins.

    Args:
        start: rows before the block.
        kind: of the errors.
    """
    try:
        yield
    except kind as error:
        if not start:
            raise
        raise kind(f"counted from row {start + 1} of the input: {error}") from None


def identity(folder: str | Path) -> list[list[Any]]:
    """What tells whether a model is the same: names, sizes and times of its files."""
    folder = Path(folder)
    paths = [folder] if folder.is_file() else sorted(folder.iterdir())
    return [
        [path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for path in paths
        if path.is_file() and not path.name.startswith(".")
    ]
