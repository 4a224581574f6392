"""From any format to any other: open the model, check every weight, write it."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from plainbert import checkpoint, files
from plainbert.checkpoint import Checkpoint
from plainbert.checkpoint.sentence import SentenceSettings
from plainbert.checkpoint.writer import state
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, UnknownNameError, UsageError
from plainbert.formats.gluonnlp import reader
from plainbert.formats.names import FORMATS
from plainbert.formats.pytorch import folder as pytorch
from plainbert.formats.tensorflow import reader as tensorflow
from plainbert.hub import records
from plainbert.hub.lookup import path_of, record_of
from plainbert.model_zoo.find import resolve
from plainbert.model_zoo.folder import LoadedModel, open_stored
from plainbert.model_zoo.lost_settings import lost_settings
from plainbert.model_zoo.stored import ForeignCheckpoint, read_stored, tokenizer_of
from plainbert.nn.names import HEADS
from plainbert.text.gluonnlp_vocab import Rows, gluonnlp_order, reordered
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

log = logging.getLogger(__name__)

WORD_ROWS = ("embeddings.word_embeddings.weight", "cls.predictions.bias")


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source: format that was read.
        target: format that was written.
        folder: the new folder.
        head: name of the head in :data:`plainbert.nn.names.HEADS`; "embedding" for none.
        tensors: weights written.
        unused: names in the source that were not used, optimizer slots among them.
        dropped: weights that the target format has no place for.
        assumed: what the source did not say and was guessed.
        lost: settings of the tokenizer that the target format has no place for, in words.
    """

    source: str
    target: str
    folder: Path
    head: str
    tensors: int
    unused: tuple[str, ...]
    dropped: tuple[str, ...]
    assumed: tuple[str, ...]
    lost: tuple[str, ...] = ()

    def report(self) -> list[str]:
        """What to tell the user, one line each."""
        lines = [f"assumed {line}" for line in self.assumed]
        lines += [f"not used: {name}" for name in self.unused]
        lines += [f"no place in {self.target}: {name}" for name in (*self.dropped, *self.lost)]
        lines.append(
            f"{self.source} -> {self.target}: {self.tensors} tensors, head {self.head!r}, "
            f"{len(self.unused)} not used; in {self.folder}"
        )
        return lines


def open_any(
    source: str | Path,
    format: str | None = None,
    vocabulary: str | Path | None = None,
    num_heads: int | None = None,
    labels: Sequence[str] | None = None,
    repair_bias: bool = False,
    lower: bool | None = None,
    dataset_name: str | None = None,
    root: str | Path | None = None,
    head: str | None = None,
) -> LoadedModel:
    """Open a source with every weight it has, whatever its format.

    Args:
        source: a folder, a file, or a published name.
        format: of the source; found out when not given.
        vocabulary: a vocabulary file, where none lies beside the weights.
        num_heads: attention heads, where the source does not say.
        labels: names of the classes or tags, where the source does not say.
        repair_bias: the weights were trained with GluonNLP 0.9.0 to 0.9.2.
        lower: casing, where the source does not say.
        dataset_name: what it was trained on; settles vocabulary and casing where nothing else does.
        root: download cache.
        head: the head to open it with; the one that has all weights when not given.

    Raises:
        FormatError: a file is garbled.
        CheckpointError: parts are missing or do not fit each other.
        UsageError: something that the source does not say must be given.
    """
    record = record_of(str(source)) if path_of(source) is None else None
    if record is None and dataset_name is not None:
        record = records.trained_on(dataset_name)
    stored = read_stored(resolve(source, root), num_heads, labels, repair_bias, format)
    tokenizer = tokenizer_of(stored, lower, record, vocabulary, root)
    return open_stored(stored, tokenizer, head or _every_head(stored), labels)


def _every_head(stored: Checkpoint) -> str:
    """The head that takes the most of what is stored.

    Published folders call themselves masked language models and hold the next-sentence head too.
    """
    names = stored.tensors()
    if stored.head not in (None, "embedding", "masked_lm", "next_sentence", "pretraining"):
        return stored.head
    words = any("cls.predictions.transform." in name for name in names)
    sentences = any("cls.seq_relationship." in name for name in names)
    heads = {
        (True, True): "pretraining",
        (True, False): "masked_lm",
        (False, True): "next_sentence",
    }
    return heads.get((words, sentences), "embedding")


def convert(
    opened: LoadedModel,
    folder: str | Path,
    target: str,
    order: Vocab | str | Path | None = None,
    whole: bool = True,
) -> Conversion:
    """Write an open model in another format.

    Args:
        opened: from :func:`open_any`; ``order`` changes its model.
        folder: must not exist; it appears once everything is on disk.
        target: a name of :data:`plainbert.formats.names.FORMATS`.
        order: put the rows of the word vectors into the order of this vocabulary or vocabulary
            file, which must hold the same tokens; "gluonnlp" is the order of GluonNLP's published
            vocabularies.
        whole: False leaves the heads of pre-training out, for the pytorch format.

    Raises:
        UnknownNameError: no such format.
        UsageError: the folder exists; a vocabulary that cannot be put into the order.
        CheckpointError: a weight is not finite.
    """
    if target not in FORMATS:
        raise UnknownNameError("format", target, FORMATS)
    tokenizer = opened.tokenizer
    if order is not None:
        tokenizer = _reordered(opened.model, tokenizer, order)
    stored = opened.checkpoint
    foreign = stored.foreign if isinstance(stored, ForeignCheckpoint) else None
    config: BertConfig = opened.model.config.replace(pad_token_id=tokenizer.vocab.pad_id)
    if target == "huggingface":
        checkpoint.write(folder, opened.model, tokenizer, config, about_of(stored))
        dropped: tuple[str, ...] = ()
    else:
        dropped = _write(folder, target, opened, config, tokenizer, whole)
        if stored.pooling is not None:
            log.warning(
                "the %s format cannot say how to pool: give embedding.py --pooling_strategy %s",
                target,
                stored.pooling,
            )
        if stored.sentence.prompt:
            log.warning(
                "the %s format cannot say that every text begins with %r: write it there",
                target,
                stored.sentence.prompt,
            )
    unused = (*(foreign.unused if foreign else ()), *opened.report.ignored)
    return Conversion(
        source=foreign.format if foreign else "huggingface",
        target=target,
        folder=Path(folder),
        head=opened.head,
        tensors=opened.report.loaded - len(dropped),
        unused=tuple(dict.fromkeys(unused)),
        dropped=dropped,
        assumed=foreign.assumed if foreign else (),
        lost=lost_settings(tokenizer, target),
    )


def about_of(stored: Checkpoint) -> dict[str, Any]:
    """What the source says of itself beside its config, whoever wrote it."""
    usual = asdict(SentenceSettings())
    about = {key: value for key, value in asdict(stored.sentence).items() if value != usual[key]}
    return {**about, **stored.about}


def _write(
    folder: str | Path,
    target: str,
    opened: LoadedModel,
    config: BertConfig,
    tokenizer: Tokenizer,
    whole: bool,
) -> tuple[str, ...]:
    """Write one of the foreign formats; returns what it has no place for."""
    pieces = tokenizer.vocab if isinstance(tokenizer, WordPiece) else None
    if pieces is None and target != "gluonnlp":
        raise UsageError(f"the {target} format has no place for a SentencePiece vocabulary.")
    prefix = "bert." if opened.head == "embedding" else ""
    tensors = {f"{prefix}{name}": tensor for name, tensor in state(opened.model).items()}
    left = [] if whole else [name for name in tensors if name.startswith("cls.")]
    tensors = {name: tensor for name, tensor in tensors.items() if name not in left}
    if left:  # else the folder would open as the model with these heads
        config = config.replace(architectures=(HEADS["embedding"].architecture,))
    with files.new_folder(folder) as partial:
        if target == "gluonnlp":
            dropped = reader.write(partial, tensors, config, pieces, lower=tokenizer.lower)
            if pieces is None:
                tokenizer.save(partial)
        else:
            module = {"tensorflow": tensorflow, "pytorch": pytorch}[target]
            dropped = module.write(
                partial, tensors, config, tokenizer.vocab.tokens, tokenizer.lower
            )
    return (*left, *dropped)


def _reordered(model: nn.Module, tokenizer: Tokenizer, order: Vocab | str | Path) -> WordPiece:
    """Permute the rows that belong to tokens, and make the tokenizer that fits them."""
    if not isinstance(tokenizer, WordPiece):
        raise UsageError("the pieces of a SentencePiece model cannot be reordered.")
    vocab = tokenizer.vocab
    if order == "gluonnlp":
        rows = gluonnlp_order(vocab)
    else:
        rows = _rows(vocab, order if isinstance(order, Vocab) else Vocab.read(order))
    index = torch.tensor([*rows, *range(len(rows), model.config.vocab_size)])  # type: ignore[arg-type, union-attr]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(WORD_ROWS):
                parameter.data = parameter[index]
    return tokenizer.with_vocab(reordered(vocab, rows))


def _rows(vocab: Vocab, order: Vocab) -> Rows:
    """The row in ``vocab`` of each token of ``order``; a token in several rows keeps their order.

    Raises:
        CheckpointError: they do not hold the same tokens.
    """
    if Counter(order.tokens) != Counter(vocab.tokens):
        lost = sorted(set(order.tokens) ^ set(vocab.tokens))
        raise CheckpointError(
            f"the model's vocabulary ({len(vocab)} tokens) and the wanted one ({len(order)}) do "
            f"not hold the same tokens; only one of them has {', '.join(map(repr, lost[:3]))}."
        )
    rows_of: dict[str, deque[int]] = {}
    for row, token in enumerate(vocab.tokens):
        rows_of.setdefault(token, deque()).append(row)
    return np.array([rows_of[token].popleft() for token in order.tokens], np.int64)
