"""What the Hub's server says that a repository holds; nothing of it is believed unseen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plainbert.arguments import short
from plainbert.errors import DownloadError
from plainbert.hub.record import Record
from plainbert.keys import schema

COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA1, _SHA256 = COMMIT, re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class OfferedFile:
    """A file of a repository.

    Attributes:
        size: in bytes; None where it is not stated.
        sha256: of its content; None where it is not stated.
        sha1: its name in git, which is made of its content; None where it is not stated.
    """

    size: int | None
    sha256: str | None
    sha1: str | None

    def check(self, path: Path) -> None:
        """Compare a new file with the server's checksum: SHA-256 (large files) or git's SHA-1.

        A file that differs is removed from the cache.

        Args:
            path: where it was downloaded to.

        Raises:
            DownloadError: it differs.
        """
        if self.sha256 is not None:
            expected, digest = self.sha256, hashlib.sha256()
        elif self.sha1 is not None:
            expected, digest = self.sha1, hashlib.sha1()  # git's object name, not for security
            digest.update(b"blob %d\0" % path.stat().st_size)
        else:
            return
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != expected:
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise DownloadError(
                f"the checksum of {path.name} is {digest.hexdigest()}, but the server states "
                f"{expected}; the file was removed."
            )


@dataclass(frozen=True)
class Answer:
    """What a repository holds.

    Attributes:
        commit: that the files belong to.
        files: by name.
    """

    commit: str
    files: dict[str, OfferedFile]


def ask(hub: Any, endpoint: str, record: Record) -> Answer:
    """Ask what the repository of a record holds; the client's own errors pass through.

    Args:
        hub: the module ``huggingface_hub``.
        endpoint: address of the server.
        record: what is wanted.

    Raises:
        DownloadError: the answer is none of the Hub's, or of another commit than asked for.
    """
    try:
        info = hub.HfApi(endpoint=endpoint).model_info(
            record.repository, revision=record.revision, files_metadata=True, timeout=30
        )
        files = dict(_files(info.siblings or ()))
        commit = info.sha
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError) as error:
        # The client takes the answer apart without looking at it.
        raise _wrong(f"{type(error).__name__}: {error}") from None
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise _wrong(f"sha={short(commit)} is no commit")
    if COMMIT.fullmatch(record.revision) and commit != record.revision:
        raise DownloadError(
            f"commit {record.revision} was asked for, but it answers with commit {commit}: its "
            "files may be others than those that are known. Nothing was taken."
        )
    return Answer(commit, files)


def _files(siblings: Iterable[Any]) -> Iterable[tuple[str, OfferedFile]]:
    """The files of an answer, each with checksums that can be compared."""
    for item in siblings:
        name, size, lfs = item.rfilename, item.size, item.lfs
        sha256 = None if lfs is None else lfs.sha256
        # Of large files it names a file that only points to the content.
        sha1 = item.blob_id if lfs is None else None
        for value, form in ((sha256, _SHA256), (sha1, _SHA1)):
            if value is not None and not (isinstance(value, str) and form.fullmatch(value)):
                raise _wrong(f"{short(value)} is no checksum of {short(name)}")
        if not schema.is_text(name) or not (size is None or schema.whole(0).fits(size)):
            raise _wrong(f"{short(name)} of {short(size)} bytes is no file")
        yield name, OfferedFile(size, sha256, sha1)


def _wrong(what: str) -> DownloadError:
    return DownloadError(f"its answer is not that of a Hugging Face Hub ({what[:200]}).")
