"""Blocks of rows that several ranks work out together, and the file that grows of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
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


def write(
    settings: GrowingOutputFlags,
    group: Group,
    reader: BlockReader | None,
    key: Mapping[str, Any],
    predict: Callable[[list[Row]], list[Result]],
    text_of: Callable[[list[Row], list[Result], bool], str],
) -> None:
    """Work out the blocks that are not done yet, and write ``--output`` of all.

    Args:
        settings: of the recipe.
        group: the ranks, which share each block, and all must call.
        reader: of the blocks, on rank 0.
        key: what the results depend on beside the rows, see :class:`blocks.BlockWork`.
        predict: rows in, a result for each out, on all ranks together.
        text_of: what a block adds to the file: its rows, their results, whether it is the first.

    Raises:
        UsageError: another process is at the file, or what was interrupted had another key.
    """
    assert settings.output is not None
    work = None if reader is None else blocks.BlockWork(settings.output, key, settings.overwrite)
    with work or contextlib.nullcontext():
        pending = iter(()) if work is None or reader is None else work.pending(reader)
        while (block := from_first(group, lambda: next(pending, None))) is not None:
            rows = [tuple(row) for row in block]
            with blocks.numbered(0 if work is None else work.done, NotFiniteError):
                results = predict(rows)
            if work is not None:
                text = text_of(rows, results, not work.done)
                work.add({"lines": text.encode("utf-8", "backslashreplace")})
        if work is not None:
            count = work.done
            work.finish(lambda growing, path: growing.publish("lines", path))
            log.info("%d predictions in %s", count, work.output)
