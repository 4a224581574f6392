"""One shard: the arrays of a file of instances, how they are written and what they must obey."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert.containers import npz

VERSION = 1
CHUNK = 1 << 16  # instances looked at together
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class ShardColumns:
    """N instances with T tokens and M masks, as a shard holds them.

    Attributes:
        input_ids: masked tokens with [CLS] and [SEP], one instance after the other; (T,).
        offsets: where each instance begins in ``input_ids``, from 0 to T; (N + 1,).
        segment_split: number of tokens of the first text with its [CLS] and [SEP]; the length of
            the instance where there is one text only; (N,).
        masked_lm_positions: positions of the masks within their instance; (M,).
        masked_lm_ids: the tokens that were there; (M,).
        masked_offsets: where each instance's masks begin, from 0 to M; (N + 1,).
        next_sentence_labels: 0 really next, 1 random, -1 no second text; (N,).
    """

    input_ids: Array
    offsets: Array
    segment_split: Array
    masked_lm_positions: Array
    masked_lm_ids: Array
    masked_offsets: Array
    next_sentence_labels: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1


NAMES = tuple(ShardColumns.__dataclass_fields__)
TYPES = {  # in a file
    "input_ids": ("<u2", "<i4"), "offsets": ("<i8",), "segment_split": ("<i4",),
    "masked_lm_positions": ("<u2", "<i4"), "masked_lm_ids": ("<u2", "<i4"),
    "masked_offsets": ("<i8",), "next_sentence_labels": ("|i1",),
}  # fmt: skip


def write_shard(path: str | Path, columns: ShardColumns, vocab_sha256: str) -> None:
    """Write a shard; equal columns give equal bytes.

    Args:
        path: appears once it is complete and on disk.
        columns: of any types of whole numbers. Tokens become u2 where all fit, else i4.
        vocab_sha256: ``Vocab.sha256`` of the vocabulary.
    """
    problem = bad_offsets(columns) or bad_contents(columns)
    assert problem is None, problem
    tokens = max(_most(columns.input_ids), _most(columns.masked_lm_ids)) > 0xFFFF
    positions = _most(columns.masked_lm_positions) > 0xFFFF
    wide = {"input_ids": tokens, "masked_lm_ids": tokens, "masked_lm_positions": positions}
    arrays: dict[str, Array] = {"version": np.array(VERSION, "<i8")}
    for name, types in TYPES.items():
        arrays[name] = getattr(columns, name).astype(types[wide.get(name, False)], copy=False)
    arrays["vocab_sha256"] = np.array(vocab_sha256.encode(), "S64")
    npz.write(path, arrays)


def bad_offsets(columns: ShardColumns) -> str | None:
    """What is wrong with the lengths of the columns and where the instances begin, or None.

    The tokens and masks themselves are not read.
    """
    N = len(columns)
    if N < 0 or len(columns.masked_offsets) != N + 1:
        return f"has {N + 1} offsets of instances, {len(columns.masked_offsets)} of masks"
    if not len(columns.segment_split) == len(columns.next_sentence_labels) == N:
        return f"has {N} rows, but not as many splits and labels"
    if len(columns.masked_lm_ids) != len(columns.masked_lm_positions):
        return "has other numbers of masked tokens and of their positions"
    for what, offsets, size, least in (
        ("instances", columns.offsets, len(columns.input_ids), 1),
        ("masks", columns.masked_offsets, len(columns.masked_lm_ids), 0),
    ):
        # Compared, not subtracted: a difference of garbled numbers may overflow.
        early, late = offsets[:-1], offsets[1:]
        grow = late > early if least else late >= early
        if offsets[0] != 0 or offsets[-1] != size or not grow.all():
            return f"has offsets of {what} that do not grow from 0 to {size}"
    return None


def bad_contents(columns: ShardColumns, vocab_size: int | None = None) -> str | None:
    """What is wrong with the numbers themselves, or None.

    Args:
        columns: those of which :func:`bad_offsets` said nothing.
        vocab_size: rows of the vocabulary, where it is known.
    """
    most = (vocab_size or 1 << 31) - 1
    for part, first in _parts(columns):
        lengths = np.diff(part.offsets)
        for name, low, high in (
            ("input_ids", 0, most),
            ("masked_lm_ids", 0, most),
            ("segment_split", 0, lengths),
            ("next_sentence_labels", -1, 1),
            ("masked_lm_positions", 0, np.repeat(lengths - 1, np.diff(part.masked_offsets))),
        ):
            values = getattr(part, name)
            if np.any(values < low) or np.any(values > high):
                return (
                    f"has {name} that cannot be among the instances {first} to "
                    f"{first + len(part) - 1}"
                )
    return None


def _parts(columns: ShardColumns) -> Iterator[tuple[ShardColumns, int]]:
    """Yield (some instances, the number of the first), so that little is in memory at once."""
    for first in range(0, len(columns), CHUNK):
        last = min(first + CHUNK, len(columns))
        begin, end = columns.offsets[[first, last]]
        low, high = columns.masked_offsets[[first, last]]
        yield (
            ShardColumns(
                columns.input_ids[begin:end],
                columns.offsets[first : last + 1],
                columns.segment_split[first:last],
                columns.masked_lm_positions[low:high],
                columns.masked_lm_ids[low:high],
                columns.masked_offsets[first : last + 1],
                columns.next_sentence_labels[first:last],
            ),
            first,
        )


def _most(values: Array) -> int:
    return int(values.max()) if len(values) else 0
