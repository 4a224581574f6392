"""GluonNLP's files of instances: arrays of arrays, which NumPy keeps as pickled objects.

Source:
    dmlc/gluon-nlp v0.7 to v0.10, scripts/bert/create_pretraining_data.py, write_to_files_np.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.containers import object_pickle
from plainbert.containers.npz import Archive
from plainbert.containers.object_pickle import PickledArray
from plainbert.errors import CheckpointError, FormatError
from plainbert.tasks.pretraining.shard_file import ShardColumns
from plainbert.text import gluonnlp_vocab
from plainbert.text.vocab import Vocab

log = logging.getLogger(__name__)

RAGGED = (
    "input_ids", "segment_ids", "masked_lm_positions", "masked_lm_ids", "masked_lm_weights",
)  # fmt: skip
PLAIN = ("next_sentence_labels", "valid_lengths")
SLOW = 100_000  # instances; from here on the log says why it takes so long
Array = NDArray[Any]


def looks_like(archive: Archive) -> bool:
    """Whether an archive is one of GluonNLP's files, rather than a shard of ours."""
    return "valid_lengths" in archive.members


def lengths(archive: Archive) -> Array:
    """The number of tokens of each instance, which can be read without the tokens; (N,).

    Raises:
        FormatError: the archive lacks an array, or holds one of another type.
    """
    for name in (*RAGGED, *PLAIN):
        member = archive.members.get(name)
        if member is None:
            raise archive.error(f"has valid_lengths, as GluonNLP's files do, but no {name}")
        if name in PLAIN and (member.dtype.kind not in "iu" or len(member.shape) != 1):
            raise archive.error(f"holds {name} as {member.dtype} of shape {member.shape}")
        if name in RAGGED and not member.dtype.hasobject:
            raise archive.error(f"holds {name} as {member.dtype}, where GluonNLP has arrays")
        # Rows that look alike pack well, to a few bytes each, but not to nothing.
        if member.size > (4 << 20) + 128 * member.packed:
            raise archive.error(f"would unpack {name} to {member.size} bytes")
        N = archive.members["valid_lengths"].shape[0]
        if member.shape[:1] != (N,) or N - member.packed > 100_000:
            raise archive.error(f"holds {name} of shape {member.shape} for {N} instances")
    sizes = _plain(archive, "valid_lengths")
    if len(sizes) and not 0 < int(sizes.min()) <= int(sizes.max()) < 1 << 31:
        raise archive.error("has instances without tokens")
    return sizes


def read(archive: Archive, vocab: Vocab | None) -> ShardColumns:
    """All instances, copied into memory.

    Args:
        archive: of which :func:`looks_like` is true.
        vocab: with Google's order of rows, tokens in GluonNLP's own order are translated, which
            the log says; None takes them as they are.

    Raises:
        FormatError: the file is damaged, or its parts disagree.
        CheckpointError: the tokens are those of another vocabulary.
    """
    valid = lengths(archive).astype(np.int64)
    if len(valid) > SLOW:
        log.info(
            "%s: reading %d rows in GluonNLP's old format, some 10,000 a second. Files that "
            "create_pretraining_data.py writes now open at once.",
            archive.path,
            len(valid),
        )
    ids, sizes = _ragged(archive, "input_ids")
    types, type_sizes = _ragged(archive, "segment_ids")
    positions, counts = _ragged(archive, "masked_lm_positions")
    labels, label_counts = _ragged(archive, "masked_lm_ids")
    weights, weight_counts = _ragged(archive, "masked_lm_weights", "iuf")
    same = np.array_equal(sizes, valid) and np.array_equal(type_sizes, valid)
    if not same or not (
        np.array_equal(counts, label_counts) and np.array_equal(counts, weight_counts)
    ):
        raise archive.error("has arrays of instances whose lengths disagree")
    if not np.isin(weights, (0, 1)).all():
        raise archive.error("has masks with other weights than 0 and 1")
    offsets = ragged.offsets(valid)
    split = valid - np.add.reduceat(types, offsets[:-1]) if len(valid) else valid
    if not np.array_equal(types, ragged.within(valid) >= np.repeat(split, valid)):
        raise archive.error("has segment_ids that are not zeros before ones")
    kept = weights == 1  # GluonNLP pads nothing and writes ones; others filled up with zeros
    owner = ragged.rows(counts)[kept]
    columns = ShardColumns(
        ids,
        offsets,
        split,
        positions[kept],
        labels[kept],
        ragged.offsets(np.bincount(owner, minlength=len(valid))),
        _plain(archive, "next_sentence_labels"),
    )
    return columns if vocab is None else _translated(archive, columns, vocab)


def _translated(archive: Archive, columns: ShardColumns, vocab: Vocab) -> ShardColumns:
    """Columns with the vocabulary's own ids; the first and last tokens tell the order of rows."""
    if not len(columns):
        return columns
    first, last = (
        columns.input_ids[columns.offsets[:-1]],
        columns.input_ids[columns.offsets[1:] - 1],
    )
    frame = (int(first[0]), int(last[0]))
    constant = (first == frame[0]).all() and (last == frame[1]).all()
    if constant and frame == (vocab.cls_id, vocab.sep_id):
        return columns
    order = gluonnlp_vocab.gluonnlp_order(vocab)
    if not constant or frame != (
        gluonnlp_vocab.FIRST.index("cls"),
        gluonnlp_vocab.FIRST.index("sep"),
    ):
        raise CheckpointError(
            f"{archive.path}: its instances begin with token {frame[0]} and end with {frame[1]}; "
            f"[CLS] and [SEP] of the vocabulary given are {vocab.cls_id} and {vocab.sep_id} (2 and "
            "3 in GluonNLP's order). Give the vocabulary that the file was made with."
        )
    for name in ("input_ids", "masked_lm_ids"):
        values = getattr(columns, name)
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < len(vocab):
            raise CheckpointError(
                f"{archive.path}: {name} has tokens up to {values.max()}; the vocabulary given has "
                f"rows 0 to {len(vocab) - 1}. Give the vocabulary that the file was made with."
            )
    log.info(
        "%s has tokens in GluonNLP's order ([UNK] 0, [PAD] 1, [CLS] 2, [SEP] 3, [MASK] 4): they "
        "are translated to the rows of the vocabulary given.",
        archive.path,
    )
    ids = gluonnlp_vocab.to_google(columns.input_ids, order)
    labels = gluonnlp_vocab.to_google(columns.masked_lm_ids, order)
    return ShardColumns(
        ids,
        columns.offsets,
        columns.segment_split,
        columns.masked_lm_positions,
        labels,
        columns.masked_offsets,
        columns.next_sentence_labels,
    )


def _ragged(archive: Archive, name: str, kinds: str = "iu") -> tuple[Array, NDArray[np.int64]]:
    member = archive.members[name]
    try:
        values, rows = _rows(archive.unpacked(name), member.shape)
    except FormatError:
        raise
    except ValueError as error:
        raise archive.error(f"holds {name}, which cannot be read: {error}") from None
    if values.dtype.kind not in kinds or (values.dtype.kind == "u" and values.dtype.itemsize == 8):
        raise archive.error(f"holds {name} as numbers of type {values.dtype}")
    if len(values) and kinds == "iu" and not 0 <= int(values.min()) <= int(values.max()) < 1 << 31:
        raise archive.error(f"holds {name} from {values.min()} to {values.max()}")
    return values if kinds != "iu" else values.astype(np.int32, copy=False), rows


def _rows(data: memoryview, shape: tuple[int, ...]) -> tuple[Array, NDArray[np.int64]]:
    """The rows of a pickled array of objects, one after the other, and their lengths.

    The shape is (N,) for N arrays of numbers, and (N, L) for N times L numbers: NumPy makes that
    of rows of one length.
    """
    if not 1 <= len(shape) <= 2:
        raise ValueError(f"an array of shape {shape}")
    items = object_pickle.unpickled(data, shape).items or []
    kinds = {type(item) for item in items}
    if len(shape) == 1:
        rows = [item.values for item in items if isinstance(item, PickledArray)]
        parts = [row for row in rows if row is not None and row.ndim == 1]
        if len(parts) != len(items):
            raise ValueError("its elements are not rows of numbers")
        lengths = np.array([len(part) for part in parts], np.int64)
        return np.concatenate(parts) if parts else np.zeros(0, np.int32), lengths
    if not kinds <= {int, float}:
        raise ValueError("its elements are not numbers")
    try:
        flat = np.array(items, np.float64 if float in kinds else np.int64)
    except OverflowError:
        raise ValueError("its numbers are too large") from None
    return flat, np.full(shape[0], shape[1], np.int64)


def _plain(archive: Archive, name: str) -> Array:
    member = archive.members[name]
    return np.frombuffer(archive.unpacked(name), member.dtype)
