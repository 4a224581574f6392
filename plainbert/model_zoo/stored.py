"""Open whatever holds a model: a folder of ours or Hugging Face's, or a foreign format."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plainbert import checkpoint, files
from plainbert.checkpoint import Checkpoint
from plainbert.containers.weight_files import WEIGHT_FILES
from plainbert.errors import CheckpointError
from plainbert.formats import find as formats
from plainbert.formats.foreign import Foreign
from plainbert.hub import records
from plainbert.hub.records import Record
from plainbert.model_zoo.find import resolve_record
from plainbert.text import casing
from plainbert.text.gluonnlp_vocab import gluonnlp_order, google_order, reordered
from plainbert.text.reader import read_tokenizer, tokenizer_at
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

WORD_CHARS = {"gluonnlp": 200}  # longest word that is cut into pieces; 100 elsewhere


@dataclass(frozen=True)
class ForeignCheckpoint(Checkpoint):
    """A file or folder of another system, used like a checkpoint folder of ours.

    Attributes:
        foreign: what its reader found.
    """

    foreign: Foreign = field(kw_only=True)

    def tensors(self) -> dict[str, Tensor]:
        """See :meth:`Checkpoint.tensors`."""
        return dict(self.foreign.tensors)


def read_stored(
    path: str | Path,
    num_heads: int | None = None,
    labels: Sequence[str] | None = None,
    repair_bias: bool = False,
    format: str | None = None,
) -> Checkpoint:
    """Open a path that exists, whatever its format.

    Args:
        path: a folder, or a file of a format whose models are files.
        num_heads: attention heads, for formats that do not store them.
        labels: class or tag names by id, for formats that do not store them.
        repair_bias: for weights trained with GluonNLP 0.9.0 to 0.9.2.
        format: a name of :data:`plainbert.formats.names.FORMATS`; found out when not given.

    Raises:
        CheckpointError: there is nothing that could be opened, or parts of it disagree.
        FormatError: a file is garbled.
    """
    path = files.followed(path)
    if path.is_file() and path.name in WEIGHT_FILES:
        path = path.parent
    own = format in ("huggingface", "pytorch") or any(
        (path / name).is_file() for name in WEIGHT_FILES
    )
    foreign = format if format in formats.READERS else None if own else formats.format_of(path)
    if foreign is None:
        if repair_bias:
            raise CheckpointError(f"{path} is not of GluonNLP: its biases need no repair.")
        return checkpoint.read(path)
    foreign_checkpoint = formats.read(path, foreign, num_heads, labels, repair_bias)
    for line in foreign_checkpoint.assumed:
        log.info("%s: assumed %s", foreign_checkpoint.source, line)
    if foreign_checkpoint.unused:
        some = ", ".join(foreign_checkpoint.unused[:8]) + (
            " ..." if len(foreign_checkpoint.unused) > 8 else ""
        )
        log.info(
            "%s: not used: %d tensors (%s)",
            foreign_checkpoint.source,
            len(foreign_checkpoint.unused),
            some,
        )
    return ForeignCheckpoint(
        foreign_checkpoint.source, foreign_checkpoint.config, {}, (), foreign=foreign_checkpoint
    )


def tokenizer_of(
    stored: Checkpoint,
    lower: bool | None = None,
    record: Record | None = None,
    vocabulary: str | Path | None = None,
    root: str | Path | None = None,
) -> Tokenizer:
    """The tokenizer of what was opened.

    Args:
        stored: from :func:`read_stored`.
        lower: casing, where nothing else says it.
        record: what the model was trained on; settles the casing and, for a foreign file without
            a vocabulary, the vocabulary.
        vocabulary: a file to take instead of the one beside the weights.
        root: download cache.

    Raises:
        CheckpointError: there is no vocabulary.
        UsageError: nothing says whether to lower-case, or letters and names disagree.
    """
    if not isinstance(stored, ForeignCheckpoint) and vocabulary is None:
        return read_tokenizer(stored.folder, lower, _published(record))
    kind = stored.foreign.format if isinstance(stored, ForeignCheckpoint) else ""
    record = record or record_in_name(stored.folder)
    names: tuple[str, ...] = ()
    if isinstance(stored, ForeignCheckpoint):
        names = stored.foreign.names
        if lower is None and not names:
            lower = stored.foreign.lower
        if vocabulary is None:
            vocabulary = stored.foreign.vocabulary
    if lower is None:
        lower = _published(record)
    if vocabulary is None and record is not None:
        return vocabulary_of(record, root, kind)
    if vocabulary is None:
        raise CheckpointError(
            f"{stored.folder} has no vocabulary beside it (NAME.vocab, vocab.json or vocab.txt). "
            "Copy it there, or say what the model was trained on with --bert_dataset."
        )
    path = files.followed(vocabulary)
    if lower is None and not path.is_dir():
        lower = casing.settled(Vocab.read(path).tokens, path, names)
    return tokenizer_at(path, lower, max_word_chars=WORD_CHARS.get(kind, 100))


def record_in_name(path: Path) -> Record | None:
    """The record whose size and data set are part of a path's name, as in GluonNLP's cache."""
    matching = [
        (len(name), record)
        for record in records.RECORDS
        for model in record.models
        if path.name.startswith(name := f"{model}_{record.dataset_name}")
    ]
    return max(matching, key=lambda pair: pair[0], default=(0, None))[1]


def _published(record: Record | None) -> bool | None:
    """The casing of a record; None where there is no download of it, and nobody could look."""
    return record.lower if record is not None and record.vocab_size else None


def vocabulary_of(
    record: Record, root: str | Path | None = None, format: str = "huggingface"
) -> Tokenizer:
    """A published vocabulary, in the order of rows that weights of a format have.

    Args:
        record: what the vocabulary was made from.
        root: download cache.
        format: a name of :data:`plainbert.formats.names.FORMATS`.

    Raises:
        DownloadError: it could not be found or downloaded.
    """
    known = records.same_vocabulary(record)
    path = resolve_record(known, root, weights=False)
    if path.is_file():
        return _of_gluonnlp(path, record, format)
    tokenizer = read_tokenizer(path, None, _published(record))
    if format != "gluonnlp" or not isinstance(tokenizer, WordPiece):
        return tokenizer
    vocab = tokenizer.vocab
    if record.reindexed:
        vocab = reordered(vocab, gluonnlp_order(vocab))
    return WordPiece(vocab, lower=tokenizer.lower, max_word_chars=WORD_CHARS[format])


def _of_gluonnlp(path: Path, record: Record, format: str) -> Tokenizer:
    """The tokenizer of a vocabulary file of GluonNLP's, in the order of rows of a format."""
    tokenizer = tokenizer_at(path, record.lower, max_word_chars=WORD_CHARS.get(format, 100))
    if not isinstance(tokenizer, WordPiece) or not record.reindexed or format == "gluonnlp":
        return tokenizer
    vocab = reordered(tokenizer.vocab, google_order(tokenizer.vocab))
    return WordPiece(vocab, lower=record.lower, max_word_chars=tokenizer.max_word_chars)
