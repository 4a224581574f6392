"""Windows on disk, so that the same questions are cut only once.

A cache is found by a fingerprint of everything that decides what is in it: questions, tokenizer,
limits. What cannot be read, or was made of something else, is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from plainbert import files
from plainbert.batching.features import Features
from plainbert.distributed.group import Group
from plainbert.tasks.squad.data import Question
from plainbert.tasks.squad.windows import Limits, Windows, prepare
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

FORM = 2  # of the files; a change of what `prepare` makes is a new one
_FEATURES = ("ids", "offsets", "types", "labels")
# Name in the file -> attribute of Windows. The names in files stay, so that caches do.
_COLUMNS = {
    "question": "question",
    "first": "first",
    "piece": "first_row",
    "kept": "max_context",
    "start": "start",
    "end": "end",
}
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def windows(
    folder: str | Path | None,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    limits: Limits,
    *,
    labelled: bool = False,
    num_workers: int = 0,
    bar: bool = False,
    group: Group | None = None,
) -> Windows:
    """What :func:`plainbert.tasks.squad.windows.prepare` makes, read from the disk if it is there.

    Args:
        folder: of the caches; None: neither read nor write one.
        tokenizer: cuts texts into tokens; its files are part of the fingerprint.
        questions: at least one.
        limits: how windows are cut.
        labelled: point at the answers, for training.
        num_workers: processes that tokenise; 0 does it in this one.
        bar: show progress, on a terminal.
        group: the ranks of the run: rank 0 makes the windows, the others read them.
    """

    def make() -> Windows:
        return prepare(
            tokenizer, questions, limits, labelled=labelled, num_workers=num_workers, bar=bar
        )

    if folder is None:
        return make()
    key = fingerprint(tokenizer, questions, limits, labelled)
    path = Path(folder) / f"windows-{key[:16]}.npz"
    first = group is None or group.rank == 0
    cut = _load_or_make(path, key, make, keep=True) if first else None
    if group is not None:
        group.barrier()
    # On another machine than rank 0's the file may not be there.
    return _load_or_make(path, key, make, keep=False) if cut is None else cut


def fingerprint(
    tokenizer: Tokenizer, questions: Sequence[Question], limits: Limits, labelled: bool
) -> str:
    """SHA-256 of everything that decides how windows come out."""
    rows: dict[str, int] = {}
    entries: list[Any] = []
    for question in questions:
        target = question.target
        bounds = None if target is None else (target.start, target.end)
        row = rows.setdefault(question.context, len(rows))
        entries.append((question.question, row, bounds, question.impossible))
    settings = {"form": FORM, "limits": asdict(limits), "labelled": labelled}
    decisive = [settings, list(rows), entries, tokenizer.fingerprint()]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def save(path: str | Path, key: str, windows: Windows) -> None:
    """Write windows; the file appears under its name once it is complete."""
    features = windows.features
    columns: dict[str, Any] = {
        "key": np.array(key),
        "counts": np.array([features.cut, windows.unreached]),
        **{name: getattr(windows, field) for name, field in _COLUMNS.items()},
        **{name: getattr(features, name) for name in _FEATURES[:3]},
    }
    if features.labels is not None:
        columns["labels"] = features.labels
    with files.atomic_file(path) as file:
        np.savez(file, **columns)


def load(path: str | Path, key: str) -> Windows | None:
    """Read windows; None, and a line in the log, where that cannot be done.

    Args:
        path: the file; that it is not there needs no words.
        key: the fingerprint it must have.
    """
    if not Path(path).is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            held = str(file["key"])
            columns = {name: file[name] for name in file.files}
        if held != key:
            log.warning("%s was made of other data or settings; it is made anew.", path)
            return None
        cut, unreached = columns["counts"].tolist()
        arrays: dict[str, Any] = {name: columns.get(name) for name in _FEATURES}
        features = Features(**arrays, cut=cut)
        fields = {field: columns[name] for name, field in _COLUMNS.items()}
        windows = Windows(features, **fields, unreached=unreached)
    except _DAMAGE as error:
        log.warning("%s is damaged (%s); it is made anew.", path, error)
        return None
    log.debug("%d windows from %s", len(windows), path)
    return windows


def _load_or_make(path: Path, key: str, make: Callable[[], Windows], keep: bool) -> Windows:
    windows = load(path, key)
    if windows is None:
        windows = make()
        if keep:
            _try_save(path, key, windows)
    return windows


def _try_save(path: Path, key: str, windows: Windows) -> None:
    try:
        save(path, key, windows)
    except OSError as error:  # a full disk: training may go on all the same
        log.warning("%s could not be written (%s); the next run cuts the rows again.", path, error)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    log.debug("%d windows in %s", len(windows), path)
