"""Word vectors in context, with GluonNLP's ``BertEmbedding`` interface."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plainbert import model_zoo
from plainbert.batching.batch import TOKENS_PER_BATCH
from plainbert.errors import UnknownNameError, UsageError
from plainbert.infer.devices import pick_device
from plainbert.infer.precision import choose_precision
from plainbert.infer.prepare import prepare
from plainbert.nn.bert import Bert
from plainbert.nn.devices import device_of
from plainbert.tasks.embedding import encode
from plainbert.tasks.embedding.encode import Vectors
from plainbert.text.inputs import texts_of
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab

log = logging.getLogger(__name__)

OOV_WAYS = ("avg", "sum", "last")
Words = tuple[list[str], list[Vectors]]


class BertEmbedding:
    """Vectors of words in their sentence, from the last layer of a BERT.

    Args:
        ctx: device, such as "cpu" or "cuda:0"; the accelerator if there is one when not given.
        dtype: "float32", "bfloat16", "float16" or "auto".
        model: size of a published model.
        dataset_name: what it was trained on.
        params_path: a model folder (or a name such as "all-MiniLM-L6-v2") instead of a published
            model; it brings its own vocabulary.
        max_seq_length: tokens kept per sentence, counting [CLS] and [SEP].
        batch_size: sentences per batch of :meth:`data_loader`. Vectors are computed in packed
            batches of about equal work, whatever this says.
        root: download cache.
        tokenizer: instead of the model's own.
        lower: whether to lower-case, for folders that do not say.

    Raises:
        UsageError: the length is beyond the model's positions.
        UnknownNameError: no such model.

    Source:
        GluonNLP v0.7 scripts/bert/embedding.py.

    Example::

        be = BertEmbedding(params_path="all-MiniLM-L6-v2")
        [(words, vectors)] = be(["an unaffable heron"])  # words: an, unaffable, heron
    """

    def __init__(
        self,
        ctx: torch.device | str | None = None,
        dtype: str = "float32",
        model: str = "bert_12_768_12",
        dataset_name: str = "book_corpus_wiki_en_uncased",
        params_path: str | Path | None = None,
        max_seq_length: int = 25,
        batch_size: int = 256,
        root: str | Path | None = None,
        tokenizer: Tokenizer | None = None,
        lower: bool | None = None,
    ) -> None:
        self.device = pick_device() if ctx is None else device_of(ctx, "ctx")
        self.max_seq_length = max_seq_length
        self.batch_size = batch_size
        self.dataset_name = dataset_name
        self.folder: Path | None = None  # of a model that was named by ``params_path``
        if params_path is not None:
            source = model_zoo.best_of_run(params_path)
            opened = model_zoo.open_folder(
                source, lower=lower, root=root, dataset_name=dataset_name
            )
            plain, own = opened.model, opened.tokenizer
            self.folder = opened.checkpoint.folder
        else:
            plain, own = model_zoo.get_model(
                model, dataset_name, root=root, use_decoder=False, use_classifier=False
            )
        body = plain if isinstance(plain, Bert) else plain.bert
        most = body.config.max_position_embeddings
        if not 3 <= max_seq_length <= most:
            raise UsageError(f"max_seq_length={max_seq_length}: 3 to {most} tokens are possible.")
        self.tokenizer = own if tokenizer is None else tokenizer
        if len(self.vocab) > body.config.vocab_size:
            raise UsageError(
                f"the tokenizer has {len(self.vocab)} tokens, the model {body.config.vocab_size}."
            )
        self.bert: Bert = prepare(body, choose_precision(dtype, self.device), self.device)

    @property
    def vocab(self) -> Vocab:
        """The tokenizer's vocabulary."""
        return self.tokenizer.vocab

    def __call__(
        self, sentences: Sequence[str | tuple[str, ...]], oov_way: str = "avg"
    ) -> list[Words]:
        """Words and their vectors.

        Args:
            sentences: each a string, or a tuple of two that the model sees as a pair: then the
                words of both, one after the other. What is beyond ``max_seq_length`` is left out,
                and how many sentences that concerns is logged.
            oov_way: how the vectors of a word's pieces become one: "avg", "sum" or "last".

        Returns:
            for every sentence its words (as the vocabulary spells them, pieces joined) and as many
            vectors (D,), float32.
        """
        return self.embedding(sentences, oov_way)

    def embedding(
        self, sentences: Sequence[str | tuple[str, ...]], oov_way: str = "avg"
    ) -> list[Words]:
        """Words and their vectors; the same as calling the object."""
        _check(oov_way)
        if isinstance(sentences, str):
            raise UsageError("sentences is one string; a list of strings is expected.")
        features, vectors = encode.encode_tokens(
            self.bert,
            self.tokenizer,
            texts_of(sentences, "sentences"),
            max_len=self.max_seq_length,
            tokens_per_batch=TOKENS_PER_BATCH,
        )
        ids = (features.row(row) for row in range(len(features)))
        return self.oov(zip(ids, vectors, strict=True), oov_way)

    def oov(
        self, batches: Iterable[tuple[Sequence[int], Vectors]], oov_way: str = "avg"
    ) -> list[Words]:
        """Join sub-words to words.

        Args:
            batches: for every sentence the ids of its tokens and their vectors (L, D). [CLS],
                [SEP] and padding are dropped, wherever this vocabulary keeps them.
            oov_way: "avg", "sum" or "last".
        """
        _check(oov_way)
        return [self._words(ids, vectors, oov_way) for ids, vectors in batches]

    def data_loader(
        self, sentences: Sequence[str], shuffle: bool = False
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Padded batches: ids (B, L), valid lengths (B,), segments (B, L)."""
        features = encode.prepare(
            self.bert, self.tokenizer, texts_of(sentences, "sentences"), self.max_seq_length
        )
        order = list(range(len(features)))
        if shuffle:
            random.shuffle(order)
        for start in range(0, len(order), self.batch_size):
            rows = [features.row(row) for row in order[start : start + self.batch_size]]
            lengths = np.array([len(row) for row in rows], dtype=np.int64)
            ids = np.full((len(rows), lengths.max()), self.vocab.pad_id, dtype=np.int64)
            for place, row in enumerate(rows):
                ids[place, : len(row)] = row
            yield ids, lengths, np.zeros_like(ids)

    def _words(self, ids: Sequence[int], vectors: Vectors, oov_way: str) -> Words:
        vocab = self.vocab
        specials = (vocab.pad, vocab.cls, vocab.sep)
        dropped = {vocab.rows[token] for token in specials if token is not None}
        kept = [place for place, row in enumerate(ids) if row not in dropped]
        pieces = [vocab.tokens[ids[place]] for place in kept]
        words: list[str] = []
        parts: list[list[int]] = []  # the rows of each word's pieces
        for place, piece in zip(kept, pieces, strict=True):
            if self.tokenizer.is_first(piece) or not words:
                words.append(piece.removeprefix("▁"))
                parts.append([place])
            else:
                words[-1] += piece.removeprefix("##")
                parts[-1].append(place)
        if oov_way == "last":
            return words, [vectors[rows[-1]] for rows in parts]
        merge = np.mean if oov_way == "avg" else np.sum
        return words, [merge(vectors[rows], axis=0) for rows in parts]


def _check(oov_way: str) -> None:
    if oov_way not in OOV_WAYS:
        raise UnknownNameError("oov_way", oov_way, OOV_WAYS)
