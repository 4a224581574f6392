"""Shards of instances for pre-training, opened together and read in any order."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plainbert import ragged
from plainbert.errors import DataError, FormatError, UsageError
from plainbert.patterns import matching
from plainbert.progress import Progress
from plainbert.tasks.pretraining import shard_set
from plainbert.tasks.pretraining.rows import InstanceRows
from plainbert.tasks.pretraining.shard import Shard
from plainbert.tasks.pretraining.shard_file import Array, ShardColumns, write_shard
from plainbert.text.vocab import Vocab

__all__ = ["ShardColumns", "Shards", "write_shard"]

log = logging.getLogger(__name__)

MAPPED = 128  # files that are mapped at one time: each keeps a file descriptor
THREADS = 4  # that read shards which are needed before the background came to them


class Shards:
    """Instances of many files, numbered through in the order of the files' names.

    Opening reads where the instances begin, and nothing else. Checksums and contents of a file are
    looked at before its first instance is used: by a thread in the background, or when
    :meth:`rows` needs the file earlier. A damaged file is an error that names it. With
    ``skip_bad`` it is counted in :attr:`skipped` instead: found damaged when it is opened, its
    instances have no numbers; found damaged later, their numbers stay and :meth:`rows` leaves
    them out, so that all other instances keep their numbers and their order.

    Args:
        files: what was opened, in order.
        skipped: reasons for what was not.
        skip_bad: leave damaged files out.
        background: check files in a thread.
    """

    def __init__(
        self, files: Sequence[Shard], skipped: Sequence[str], skip_bad: bool, background: bool
    ) -> None:
        self.skipped = list(skipped)
        self.lengths: Array = np.concatenate([file.lengths for file in files])
        self._files = list(files)
        self._starts = ragged.offsets([len(file.lengths) for file in files])
        self._skip_bad = skip_bad
        self._counted = [False] * len(files)
        self._mapped: OrderedDict[int, ShardColumns] = OrderedDict()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if background and not all(file.checked for file in files):
            self._thread = threading.Thread(
                target=_check_all, args=(self._files, self._stop), name="shards", daemon=True
            )
            self._thread.start()
        self._finalizer = weakref.finalize(self, self._stop.set)

    @classmethod
    def open(
        cls,
        patterns: Sequence[str],
        vocab: Vocab | None = None,
        verify: bool = False,
        skip_bad: bool = False,
        background: bool = True,
    ) -> Shards:
        """Open every file that matches.

        Args:
            patterns: globs; ``~`` is expanded, a file that matches twice counts once.
            vocab: that of the model; files made with another one are refused. None takes any.
            verify: look at all files now, not when they are needed.
            skip_bad: go on without damaged files.
            background: look at files in a thread while others are in use.

        Raises:
            DataError: a pattern matches nothing, or there are no instances.
            FormatError: a file is damaged, or a set is not whole, and ``skip_bad`` is false.
            CheckpointError: a file was made with another vocabulary.
        """
        files: list[Shard] = []
        skipped: list[str] = []
        for path in matching_files(patterns):
            try:
                files.append(Shard(path, vocab))
            except FormatError as error:
                if not skip_bad:
                    raise
                skipped.append(str(error))
        for wrong, problem in list(shard_set.faults(files)):
            if not skip_bad:
                raise problem
            skipped.append(str(problem))
            files = [file for file in files if file is not wrong]
        if verify:
            _check_now(files)
            skipped += [str(file.error) for file in files if _is_skipped(file, skip_bad)]
            files = [file for file in files if file.error is None]
        for reason in skipped:
            log.warning("skipped: %s", reason)
        if not sum(len(file.lengths) for file in files):
            raise DataError(
                f"{', '.join(patterns)}: there are no instances ({len(files)} files are empty, "
                f"{len(skipped)} damaged). Make them with create_pretraining_data.py."
            )
        shards = cls(files, skipped, skip_bad, background)
        log.debug(
            "%d rows with %d tokens in %d shards%s.",
            len(shards),
            shards.num_tokens,
            shards.num_shards,
            f"; {len(skipped)} damaged ones are left out" if skipped else "",
        )
        return shards

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_shards(self) -> int:
        """Files in use."""
        return len(self._files)

    @property
    def fingerprint(self) -> str:
        """A hash of what the files' own tables of contents say, which have checksums."""
        return hashlib.sha256(
            "".join(file.fingerprint for file in self._files).encode()
        ).hexdigest()[:16]

    @property
    def num_tokens(self) -> int:
        """Tokens of all instances, [CLS] and [SEP] among them."""
        return int(self.lengths.sum(dtype=np.int64))

    def close(self) -> None:
        """Stop the background thread and let go of the files."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._mapped.clear()

    def rows(self, index: NDArray[Any], epoch: int = 0) -> InstanceRows:
        """Instances by number.

        Args:
            index: numbers of instances, in any order; (B,).
            epoch: of no effect: masks of shards are drawn once.

        Returns:
            the instances in the order of ``index``; fewer than B where files were found damaged
            and ``skip_bad`` is true.

        Raises:
            FormatError: a file is damaged, and ``skip_bad`` is false.
            UsageError: there is no such instance.
        """
        index = np.asarray(index, np.int64)
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise UsageError(f"instances 0 to {len(self) - 1} exist; {index.tolist()[:9]} asked.")
        owners = np.searchsorted(self._starts, index, "right") - 1
        numbers = np.unique(owners).tolist()
        _check_now([self._files[number] for number in numbers], bar=False)
        self._report()
        local = index - self._starts[owners]
        # File by file, and copied from each: no more than a few are mapped at one time.
        order = np.argsort(owners, kind="stable").tolist()
        parts = {
            place: _Instance.of(self._columns(int(owners[place])), int(local[place]))
            for place in order
            if self._files[owners[place]].error is None
        }
        return _joined([parts[place] for place in sorted(parts)])

    def _report(self) -> None:
        """Raise, or count, what was found damaged since the last call.

        Files that are not needed yet count too: better now than after a night.
        """
        for number, file in enumerate(self._files):
            if self._counted[number] or not _is_skipped(file, self._skip_bad):
                continue
            self._counted[number] = True
            self.skipped.append(str(file.error))
            log.warning("skipped, with %d rows: %s", len(file.lengths), file.error)
        if all(self._counted):
            raise FormatError(f"all {len(self._files)} shards are damaged. {self.skipped[0]}")

    def _columns(self, number: int) -> ShardColumns:
        """The columns of a file, mapped now or a short while ago."""
        with self._lock:
            columns = self._mapped.pop(number, None)
            if columns is None:
                columns = self._files[number].columns()
            self._mapped[number] = columns
            if len(self._mapped) > MAPPED:
                self._mapped.popitem(last=False)
        return columns


def matching_files(patterns: Sequence[str]) -> list[Path]:
    """The files that match globs, sorted, each once; sets on their way are put in place first.

    Raises:
        DataError: a pattern matches no file.
        UsageError: a set is on its way, and its folder cannot be written to.
    """
    paths: set[str] = set()
    for pattern in patterns:
        shard_set.finish(os.path.expanduser(pattern))
        matches = [path for path in matching(pattern) if os.path.isfile(path)]
        if not matches:
            raise DataError(f"{pattern!r} matches no file; shards (.npz) are expected there.")
        paths.update(matches)
    return [Path(path) for path in sorted(paths)]


def _is_skipped(file: Shard, skip_bad: bool) -> bool:
    """Whether a file is damaged and may be left out; raises where it may not."""
    if file.error is not None and not (skip_bad and isinstance(file.error, FormatError)):
        raise file.error
    return file.error is not None


def _check_all(files: Sequence[Shard], stop: threading.Event) -> None:
    for file in files:
        if stop.is_set():
            return
        file.check()


def _check_now(files: Sequence[Shard], bar: bool = True) -> None:
    """Look at files that nobody looked at, several at a time."""
    files = [file for file in files if not file.checked]
    if len(files) < 2:
        for file in files:
            file.check()
        return
    with (
        ThreadPoolExecutor(min(THREADS, len(files))) as pool,
        Progress("check", "shard", len(files), bar=bar) as progress,
    ):
        for _ in pool.map(Shard.check, files):
            progress.update(1)


class _Instance(NamedTuple):
    """A copy of one instance."""

    ids: Array
    positions: Array
    labels: Array
    split: int
    kind: int

    @classmethod
    def of(cls, columns: ShardColumns, row: int) -> _Instance:
        begin, end = columns.offsets[row : row + 2].tolist()
        low, high = columns.masked_offsets[row : row + 2].tolist()
        return cls(
            columns.input_ids[begin:end].astype(np.int32),
            columns.masked_lm_positions[low:high].astype(np.int64),
            columns.masked_lm_ids[low:high].astype(np.int64),
            int(columns.segment_split[row]),
            int(columns.next_sentence_labels[row]),
        )


def _joined(parts: Sequence[_Instance]) -> InstanceRows:
    """Instances one behind the other."""
    lengths = np.array([len(part.ids) for part in parts], np.int64)
    masks = np.array([len(part.labels) for part in parts], np.int64)
    splits = np.array([part.split for part in parts], np.int64)
    none = np.zeros(0, np.int64)  # there may be no instances
    return InstanceRows(
        ids=np.concatenate([none.astype(np.int32), *(part.ids for part in parts)]),
        offsets=ragged.offsets(lengths),
        types=(ragged.within(lengths) >= np.repeat(splits, lengths)).astype(np.uint8),
        masked_sequence=ragged.rows(masks),
        masked_positions=np.concatenate([none, *(part.positions for part in parts)]),
        masked_ids=np.concatenate([none, *(part.labels for part in parts)]),
        next_sentence=np.array([part.kind for part in parts], np.int64),
    )
