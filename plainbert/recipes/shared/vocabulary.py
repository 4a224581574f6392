"""From the vocabulary flags of a recipe to a tokenizer."""

from __future__ import annotations

import logging
from pathlib import Path

from plainbert.errors import UsageError
from plainbert.recipes.shared.settings import VocabularyFlags
from plainbert.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

FLAGS = ("vocab", "sentencepiece", "model_dir", "bert_dataset")


def tokenizer_of(settings: VocabularyFlags) -> Tokenizer | None:
    """The tokenizer that the flags ask for; None where they ask for none.

    ``--sentencepiece`` wins over ``--vocab`` (a file, or a folder with the files of a tokenizer),
    then come ``--model_dir`` and ``--dataset_name``.

    Raises:
        UsageError: nothing says whether to lower-case, or the flags contradict the files.
        CheckpointError: there is no vocabulary, or its files disagree.
        DownloadError: a published vocabulary could not be had.
    """
    lower = settings.lower
    if settings.sentencepiece is not None:
        if "bert_dataset" in settings.typed:
            log.warning("--sentencepiece is used; --dataset_name is not.")
        from plainbert.text.sentencepiece import SentencePiece

        model = Path(settings.sentencepiece).expanduser()
        return SentencePiece(model, lower is not False, *settings.sampling)
    if settings.vocab is not None:
        from plainbert.text.reader import tokenizer_at

        return tokenizer_at(settings.vocab, lower, sampling=settings.sampling)
    if settings.model_dir is not None:
        return _of_model(settings.model_dir, lower)
    if settings.bert_dataset is None:
        return None

    from plainbert.hub import records
    from plainbert.model_zoo.stored import vocabulary_of

    tokenizer = vocabulary_of(records.trained_on(settings.bert_dataset))
    if lower is not None and lower != tokenizer.lower:
        kind = "uncased" if tokenizer.lower else "cased"
        raise UsageError(
            f"--dataset_name {settings.bert_dataset} is {kind}; leave the flag for the casing out."
        )
    return tokenizer


def _of_model(name: str, lower: bool | None) -> Tokenizer:
    from plainbert.hub import records
    from plainbert.hub.lookup import path_of, record_of
    from plainbert.model_zoo.find import resolve
    from plainbert.model_zoo.stored import read_stored, tokenizer_of, vocabulary_of
    from plainbert.text.reader import read_tokenizer

    path = resolve(name, weights=False)
    record = record_of(name) if path_of(name) is None else None
    if record is not None and path.is_file():  # GluonNLP's vocabulary
        return vocabulary_of(record)
    if path.is_dir() and any((path / name).is_file() for name in records.VOCABULARY_FILES):
        known = record.lower if record is not None and record.vocab_size else None
        return read_tokenizer(path, lower, known)
    return tokenizer_of(read_stored(path), lower, record)
