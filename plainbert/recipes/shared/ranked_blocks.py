"""Blocks of rows that several ranks work out together, and the file that grows of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from plainbert.distributed.group import Group
from plainbert.infer.finite import NotFiniteError
from plainbert.recipes.shared import blocks
from plainbert.recipes.shared.blocks import BlockReader, Row
from plainbert.recipes.shared.ranks import from_first
from plainbert.recipes.shared.settings import GrowingOutputFlags

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """The rows of a command.

    Attributes:
        is_done: whether ``--resume`` finds the file complete.
        whole: all rows, on every rank, where they are one block or go to no file; else None.
        reader: of the blocks, on rank 0; None elsewhere, and where nothing is to be done.
    """

    is_done: bool
    whole: list[Row] | None
    reader: BlockReader | None


def read(settings: GrowingOutputFlags, group: Group, reader_of: Callable[[], BlockReader]) -> Rows:
    """Read the rows, before a model is opened; rank 0 does it: standard input has one reader.

    Args:
        settings: of the recipe.
        group: the ranks, which all must call.
        reader_of: opens the rows.

    Raises:
        UsageError: an interrupted run has done some, and nothing says what is to become of it.
        DataError: a row cannot be used.
    """
    reader: BlockReader | None = None

    def begin() -> tuple[bool, list[Row] | None]:
        nonlocal reader
        blocks.check(settings)
        if blocks.is_done(settings):
            return True, None
        reader = reader_of()
        is_whole = settings.output is None or reader.is_single
        return False, reader.all() if is_whole else None

    is_done, whole = from_first(group, begin)
    return Rows(is_done, None if whole is None else [tuple(row) for row in whole], reader)


class RankedWork:
    """The work of ranks on one output file, which rank 0 has; a context.

    Args:
        settings: of the recipe.
        group: the ranks, which share each block.
        reader: of the blocks, on rank 0.
        key: what the results depend on beside the rows, see :class:`blocks.BlockWork`.

    Raises:
        UsageError: another process is at the file, or what was interrupted had another key.
    """

    def __init__(
        self,
        settings: GrowingOutputFlags,
        group: Group,
        reader: BlockReader | None,
        key: Mapping[str, Any],
    ) -> None:
        assert settings.output is not None
        self._group, self._reader = group, reader
        self._work = None
        if reader is not None:
            self._work = blocks.BlockWork(settings.output, key, settings.overwrite)

    def __enter__(self) -> RankedWork:
        if self._work is not None:
            self._work.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._work is not None:
            self._work.__exit__(*error)

    @property
    def done(self) -> int:
        """Rows that are worked out; 0 on other ranks than the first."""
        return 0 if self._work is None else self._work.done

    @property
    def state(self) -> Mapping[str, Any]:
        """What :meth:`add` stored last, perhaps before an interruption."""
        return {} if self._work is None else self._work.growing.state

    def results(
        self, predict: Callable[[list[Row]], list[Result]]
    ) -> Iterator[tuple[list[Row], list[Result]]]:
        """Yield the rows of each block that is not done yet, and their results.

        Args:
            predict: rows in, a result for each out, on all ranks together.
        """
        pending: Iterator[list[Row]] = iter(())
        if self._work is not None and self._reader is not None:
            pending = self._work.pending(self._reader)
        while (block := from_first(self._group, lambda: next(pending, None))) is not None:
            rows = [tuple(row) for row in block]
            with blocks.numbered(self.done, NotFiniteError):
                results = predict(rows)
            yield rows, results

    def add(self, text: str, parts: Mapping[str, bytes] | None = None, **state: Any) -> None:
        """Keep what came of the block that was yielded last; rank 0 does.

        Args:
            text: what it adds to the file.
            parts: what it adds to other files beside the work.
            state: what is to be known at the end.
        """
        if self._work is not None:
            lines = text.encode("utf-8", "backslashreplace")
            self._work.add({"lines": lines, **(parts or {})}, **state)

    def part(self, name: str) -> bytes | None:
        """All that was added to a file beside the work; None on other ranks."""
        return None if self._work is None else self._work.growing.path(name).read_bytes()

    def finish(self) -> None:
        """Give the file its name."""
        if self._work is not None:
            count = self._work.done
            self._work.finish(lambda growing, path: growing.publish("lines", path))
            log.info("%d predictions in %s", count, self._work.output)
