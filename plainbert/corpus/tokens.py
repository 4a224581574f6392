"""Text to a store of tokens on disk: sentences and documents are ranges of one row of ids."""

from __future__ import annotations

import itertools
import logging
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from plainbert.containers import npz
from plainbert.corpus import documents
from plainbert.corpus.documents import TextPiece
from plainbert.errors import DataError, FormatError
from plainbert.processes import WorkerProcesses
from plainbert.progress import Progress
from plainbert.text.sentencepiece import SentencePiece
from plainbert.text.special import plain_text
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 2


@dataclass(frozen=True)
class Store:
    """A tokenised corpus of T tokens, S sentences and D documents, mapped from a file.

    Attributes:
        ids: tokens of all sentences, end to end; (T,), u2 or i4.
        sentences: where each sentence begins in ``ids``, and T; (S + 1,).
        documents: where each document begins in ``sentences``, and S; (D + 1,).
    """

    ids: NDArray[Any]
    sentences: NDArray[np.int64]
    documents: NDArray[np.int64]

    @classmethod
    def read(cls, path: str | Path) -> Store:
        """Map a file that :func:`tokenise` wrote.

        Raises:
            FormatError: it is not one, or damaged.
        """
        arrays = npz.read(path)
        if sorted(arrays) != ["documents", "ids", "sentences", "version"]:
            raise FormatError(f"{path} is no store of tokens. Remove it; it is made again.")
        store = cls(arrays["ids"], arrays["sentences"], arrays["documents"])
        ends = (store.documents[-1], store.sentences[-1])
        if arrays["version"] != VERSION or ends != (store.num_sentences, len(store.ids)):
            raise FormatError(f"{path} is damaged or of another version. Remove it.")
        return store

    @property
    def num_sentences(self) -> int:
        """S."""
        return len(self.sentences) - 1

    @property
    def num_documents(self) -> int:
        """D."""
        return len(self.documents) - 1

    @property
    def document_tokens(self) -> NDArray[np.int64]:
        """Tokens of each document; (D,)."""
        return np.diff(self.sentences[self.documents])


@dataclass(frozen=True)
class Reading:
    """How text becomes tokens; what a worker process needs.

    Attributes:
        tokenizer: draws are begun anew for every piece.
        language: of a sentence splitter; None: one sentence per line.
        seed: of the draws among segmentations.
    """

    tokenizer: Tokenizer
    language: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Tokens:
    """A tokenised piece.

    Attributes:
        ids: all tokens; (T,).
        ends: where each sentence ends in ``ids``; (S,).
        breaks: after how many sentences a document ends, ascending.
        size: bytes of the text.
        path: the file.
    """

    ids: NDArray[Any]
    ends: NDArray[np.int64]
    breaks: NDArray[np.int64]
    size: int
    path: Path


def tokenise(
    paths: Sequence[Path],
    reading: Reading,
    path: str | Path,
    workers: WorkerProcesses,
    bar: bool = True,
) -> Store:
    """Tokenise files into a store.

    Neither the whole text nor all tokens are in memory at any time.

    Args:
        paths: text files, from :func:`plainbert.corpus.documents.find_files`.
        reading: tokenizer, language of the sentences, seed.
        path: file of the store; it appears once it is complete.
        workers: to which ``reading`` was sent; the result is the same for any number.
        bar: show progress.

    Raises:
        DataError: a file cannot be read, or there is no sentence in all of them.
        MissingDependencyError: sentences shall be split and the library for it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if reading.language is not None:
        documents.splitter(reading.language)  # before the work, not in a worker
    wide = len(reading.tokenizer.vocab) > 1 << 16
    total = None if any(p.suffix in (".gz", ".xz") for p in paths) else _bytes(paths)
    sentences_of = dict.fromkeys(paths, 0)
    work = documents.pieces(paths, whole_blocks=reading.language is not None)
    with (
        tempfile.TemporaryFile(dir=path.parent) as ids,
        tempfile.TemporaryFile(dir=path.parent) as sentences,
        tempfile.TemporaryFile(dir=path.parent) as document_starts,
        Progress("tokenise", "B", total, scale=True, bar=bar) as progress,
    ):
        T = S = ended = 0
        sentences.write(bytes(8))  # an int64 of 0
        document_starts.write(bytes(8))
        for part in workers.in_order(encode, reading, work):
            ids.write(part.ids.data)
            sentences.write((part.ends + T).data)
            # A document ends where a sentence came since the last one ended.
            breaks = np.unique(part.breaks + S)
            breaks = breaks[breaks > ended]
            document_starts.write(breaks.data)
            ended = int(breaks[-1]) if len(breaks) else ended
            T, S = T + len(part.ids), S + len(part.ends)
            sentences_of[part.path] += len(part.ends)
            progress.update(part.size)
        _say_empty(sentences_of)
        assert ended == S  # files end documents
        npz.write(
            path,
            {
                "version": np.array(VERSION, "<i8"),
                "ids": _mapped(ids, np.int32 if wide else np.uint16),
                "sentences": _mapped(sentences, np.int64),
                "documents": _mapped(document_starts, np.int64),
            },
        )
    return Store.read(path)


def encode(reading: Reading, piece: TextPiece) -> Tokens:
    """Tokenise one piece; see :func:`tokenise`. Special tokens in the text are plain text."""
    tokenizer = reading.tokenizer
    if isinstance(tokenizer, SentencePiece):
        tokenizer.reseed(reading.seed * 1_000_003 + piece.number)
    split = None if reading.language is None else documents.splitter(reading.language)
    lines = documents.lines_of(piece, split)
    rows = tokenizer.ids_many(map(plain_text(tokenizer.vocab), lines))
    code = "i" if len(tokenizer.vocab) > 1 << 16 else "H"  # array() is thrice as fast as np.array()
    ids = np.frombuffer(array(code, itertools.chain.from_iterable(rows)), dtype=code)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    blank = np.fromiter(map(len, lines), np.int64, len(lines)) == 0
    # A line of control characters only has no tokens, and is no blank line either.
    kept = lengths > 0
    return Tokens(
        ids=ids,
        ends=lengths.cumsum()[kept],
        breaks=kept.cumsum()[blank],
        size=len(piece.data),
        path=piece.path,
    )


def _say_empty(sentences_of: dict[Path, int]) -> None:
    """Warn of files without a sentence; an error where no file has one."""
    empty = [path for path, sentences in sentences_of.items() if not sentences]
    if len(empty) == len(sentences_of):
        raise DataError(
            "holds no text" + (f", nor do the other {len(empty) - 1} files." if empty[1:] else "."),
            empty[0],
        )
    if empty:
        listed = ", ".join(map(str, empty[:5])) + (" ..." if empty[5:] else "")
        log.warning("%d of %d files hold no text: %s", len(empty), len(sentences_of), listed)


def _bytes(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _mapped(file: IO[bytes], dtype: Any) -> NDArray[Any]:
    """What was written to a file so far, as an array."""
    file.flush()
    if not file.tell():
        return np.zeros(0, dtype)
    return np.memmap(file, dtype, "r")
