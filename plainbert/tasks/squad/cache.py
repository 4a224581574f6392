"""Windows on disk, so that the same questions are cut only once.

A cache is found by a fingerprint of everything that decides what is in it: questions, tokenizer,
limits. What cannot be read, or was made of something else, is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
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
from plainbert.tasks.squad.windows import Limits, Windows, build
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

FORM = 1  # of the files; a change of what `build` makes is a new one
_FEATURES = ("ids", "offsets", "types", "labels")
_COLUMNS = ("question", "first", "piece", "kept", "start", "end")
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def windows(
    folder: str | Path | None,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    limits: Limits,
    labelled: bool = False,
    num_workers: int = 0,
    bar: bool = False,
    group: Group | None = None,
) -> Windows:
    """What :func:`plainbert.tasks.squad.windows.build` makes, read from the disk if it is there.

    Args:
        folder: of the caches; None: neither read nor write one.
        tokenizer: as for ``build``; so are the next five.
        questions: at least one.
        limits: how windows are cut.
        labelled: point at the answers.
        num_workers: processes that tokenise.
        bar: show progress.
        group: the ranks of the run: rank 0 makes the windows, the others read them.
    """

    def make() -> Windows:
        return build(tokenizer, questions, limits, labelled, num_workers, bar)

    if folder is None:
        return make()
    key = fingerprint(tokenizer, questions, limits, labelled)
    path = Path(folder) / f"windows-{key[:16]}.npz"
    first = group is None or group.rank == 0
    found = _load_or_make(path, key, make, keep=True) if first else None
    if group is not None:
        group.barrier()
    # On another machine than rank 0's the file may not be there.
    return _load_or_make(path, key, make, keep=False) if found is None else found


def fingerprint(
    tokenizer: Tokenizer, questions: Sequence[Question], limits: Limits, labelled: bool
) -> str:
    """SHA-256 of everything that decides how windows come out."""
    rows: dict[str, int] = {}
    asked: list[Any] = []
    for question in questions:
        target = question.target
        bounds = None if target is None else (target.start, target.end)
        row = rows.setdefault(question.context, len(rows))
        asked.append((question.question, row, bounds, question.impossible))
    settings = {"form": FORM, "limits": asdict(limits), "labelled": labelled}
    digest = hashlib.sha256(json.dumps([settings, list(rows), asked]).encode())
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save(scratch)
        for path in sorted(Path(scratch).iterdir()):
            digest.update(f"{path.name}:{path.stat().st_size}:".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def save(path: str | Path, key: str, made: Windows) -> None:
    """Write windows; the file appears under its name once it is complete."""
    features = made.features
    columns: dict[str, Any] = {
        "key": np.array(key),
        "counts": np.array([features.cut, made.unreached]),
        **{name: getattr(made, name) for name in _COLUMNS},
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
        found = Windows(features, **{name: columns[name] for name in _COLUMNS}, unreached=unreached)
    except _DAMAGE as error:
        log.warning("%s is damaged (%s); it is made anew.", path, error)
        return None
    log.info("%d windows from %s", len(found), path)
    return found


def _load_or_make(path: Path, key: str, make: Callable[[], Windows], keep: bool) -> Windows:
    found = load(path, key)
    if found is None:
        found = make()
        if keep:
            _try_save(path, key, found)
    return found


def _try_save(path: Path, key: str, made: Windows) -> None:
    try:
        save(path, key, made)
    except OSError as error:  # a full disk: training may go on all the same
        log.warning(
            "%s could not be written (%s); the next run cuts the questions again.", path, error
        )
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return
    log.info("%d windows in %s", len(made), path)
