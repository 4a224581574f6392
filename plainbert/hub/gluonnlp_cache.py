"""Files that GluonNLP once downloaded, found by their names.

GluonNLP kept weights and vocabularies in ``~/.mxnet/models`` under names that end in the first
digits of their SHA-1. Its server is retired; the files of an old installation are as good as ever.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from plainbert.errors import CheckpointError
from plainbert.hub.record import Record

log = logging.getLogger(__name__)


def old_folder() -> Path:
    """GluonNLP's cache: ``$MXNET_HOME/models``, by default ``~/.mxnet/models``."""
    home = os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet")
    return Path(home).expanduser() / "models"


def old_files(record: Record, root: str | Path | None = None) -> tuple[Path, Path] | None:
    """GluonNLP's own files of a record, if they are there and whole.

    Reads both files once, about a second per gigabyte.

    Args:
        record: what is wanted.
        root: the folder to look in; :func:`old_folder` when not given.

    Returns:
        the ``.params`` file and its vocabulary (JSON, or SentencePiece for ``.spiece``); None
        where GluonNLP had no such weights or one of the two is not there.

    Raises:
        CheckpointError: a file is there but its content is not what its name says.
    """
    if record.old_params is None or record.old_vocab is None:
        return None
    folder = Path(root).expanduser() if root is not None else old_folder()
    params = folder / record.old_params
    if not params.is_file():
        return None
    vocab = old_vocabulary(record, folder)
    if vocab is None:
        log.warning("%s is there, but not its vocabulary %s: not used", params, record.old_vocab)
        return None
    _check(params, record.params_sha1)
    return params, vocab


def old_vocabulary(record: Record, root: str | Path | None = None) -> Path | None:
    """GluonNLP's own vocabulary file of a record, with or without the weights, if it is whole.

    Args:
        record: what is wanted.
        root: the folder to look in; :func:`old_folder` when not given.

    Raises:
        CheckpointError: the file is there but its content is not what its name says.
    """
    if record.old_vocab is None:
        return None
    folder = Path(root).expanduser() if root is not None else old_folder()
    vocab = folder / record.old_vocab
    if not vocab.is_file():
        # Data sets share vocabularies; equal digits in the name are equal files.
        pattern = f"*-{record.vocab_sha1}{record.vocab_suffix}"
        others = sorted(path for path in folder.glob(pattern) if path.is_file())
        if not others:
            return None
        vocab = others[0]
    _check(vocab, record.vocab_sha1)
    return vocab


def _check(path: Path, digits: str) -> None:
    """Compare a file with the digits in its name."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha1").hexdigest()
    if not digest.startswith(digits):
        raise CheckpointError(
            f"{path}: its SHA-1 is {digest}, but GluonNLP published it with one that starts with "
            f"{digits}. It was cut off or changed: remove it, or give its path in place of the "
            "name."
        )
