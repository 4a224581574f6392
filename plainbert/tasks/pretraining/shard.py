"""One open file of instances: a shard of ours, or a file that GluonNLP wrote."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from plainbert.containers import npz
from plainbert.errors import CheckpointError, PlainBertError
from plainbert.tasks.pretraining import gluonnlp_npz
from plainbert.tasks.pretraining.shard_file import (
    TYPES,
    VERSION,
    Array,
    ShardColumns,
    bad_contents,
    bad_offsets,
)
from plainbert.text.vocab import Vocab


class Shard:
    """A file of which only the structure was looked at so far.

    Args:
        path: the file.
        vocab: that of the model; None takes a file of any vocabulary.

    Attributes:
        lengths: tokens of each instance; (N,) int32.
        of_gluonnlp: whether GluonNLP wrote it.
        checked: whether checksums and contents were looked at.
        error: what is wrong with the file; None while nothing is known to be.

    Raises:
        FormatError: the file is damaged or something else.
        CheckpointError: it was made with another vocabulary.
    """

    def __init__(self, path: Path, vocab: Vocab | None) -> None:
        self.path = path
        self.checked = False
        self.error: PlainBertError | None = None
        self._vocab = vocab
        self._lock = threading.Lock()
        self._archive = npz.Archive(path, objects=True)
        self.of_gluonnlp = gluonnlp_npz.looks_like(self._archive)
        self._kept: ShardColumns | None = None
        if self.of_gluonnlp:
            self.lengths: Array = gluonnlp_npz.lengths(self._archive).astype(np.int32)
            return
        self._check_structure()
        columns = self._open()
        if (problem := bad_offsets(columns)) is not None:
            raise self._archive.error(problem)
        lengths = np.diff(columns.offsets)
        if len(lengths) and int(lengths.max()) >= 1 << 31:
            raise self._archive.error(f"has an instance of {lengths.max()} tokens")
        self.lengths = lengths.astype(np.int32)
        if any(member.method for member in self._archive.members.values()):
            self._kept = columns  # unpacked into memory: not twice

    @property
    def fingerprint(self) -> str:
        """Tells the file from all others, without reading its contents."""
        return self._archive.fingerprint

    def check(self) -> None:
        """Compare checksums and look at the contents, once; ``error`` tells what came out."""
        with self._lock:
            if self.checked:
                return
            try:
                if self.of_gluonnlp:
                    self._kept = gluonnlp_npz.read(self._archive, self._vocab)
                else:
                    self._archive.verify()
                columns = self.columns()
                size = None if self._vocab is None else len(self._vocab)
                problem = bad_offsets(columns) or bad_contents(columns, size)
                if problem is not None:
                    raise self._archive.error(problem)
            except PlainBertError as error:
                self.error = error
                self._kept = None
            self.checked = True

    def columns(self) -> ShardColumns:
        """The columns; mapped anew at each call, or those in memory.

        Raises:
            FormatError: the file is not the one that was opened.
        """
        return self._open() if self._kept is None else self._kept

    def _open(self) -> ShardColumns:
        return ShardColumns(**self._archive.arrays(TYPES))

    def _check_structure(self) -> None:
        members = self._archive.members
        missing = [name for name in ("version", *TYPES, "vocab_sha256") if name not in members]
        if missing:
            raise self._archive.error(
                f"holds {', '.join(sorted(members)) or 'nothing'}, but not {', '.join(missing)}: "
                "it is neither a shard of instances nor a file of GluonNLP"
            )
        for name, types in {**TYPES, "version": ("<i8",), "vocab_sha256": ("|S64",)}.items():
            member = members[name]
            axes = 1 if name in TYPES else 0
            if member.dtype.str not in types or len(member.shape) != axes:
                raise self._archive.error(
                    f"holds {name} as {member.dtype.str} of shape {member.shape}; "
                    f"{' or '.join(types)} with {axes} axes is expected"
                )
        version, made_with = (
            self._archive.arrays([name])[name].item() for name in ("version", "vocab_sha256")
        )
        if version != VERSION:
            raise self._archive.error(f"is of version {version}; version {VERSION} is known")
        expected = self._vocab.sha256 if self._vocab is not None else None
        if expected is not None and made_with != expected.encode():
            name = made_with.decode("ascii", "replace")
            raise CheckpointError(
                f"{self.path} was made with the vocabulary {name[:12]}..., the one given is "
                f"{expected[:12]}... (first digits of their SHA-256). Give the vocabulary that the "
                "shards were made with, or make them again with create_pretraining_data.py."
            )
